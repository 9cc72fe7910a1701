//! The parts of a file's JSON Schema that cannot be derived, because the file says them in another form
//! than the program keeps them. Takes nothing; gives schemas that agree with the loader.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::time::{Span, UNITS};

/// A text that a file may also write as a number or as true or false, because it stands for one. Only ever
/// the schema of a field, never its value.
#[derive(Debug)]
pub enum Scalar {}

impl JsonSchema for Scalar {
    fn schema_name() -> Cow<'static, str> {
        "Scalar".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["string", "number", "boolean"]})
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let units = UNITS.map(|(unit, _)| unit).join("|");
        json_schema!({
            "description": "A whole number and a unit: 500ms, 90s, 5m, 4h or 1d.",
            "type": "string",
            "pattern": format!("^[0-9]+({units})$"),
        })
    }
}
