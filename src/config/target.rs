//! The systems that the bot may touch. Takes one entry of `targets`; gives its addresses and secrets, or
//! what is wrong with it. An entry is a database, an HTTP address or a set of programs, never two of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::secret;
use crate::model::schema::Scalar;

/// A system the bot may touch.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The database URL of the role that only reads.
    #[serde(default)]
    pub observer: Option<String>,
    #[serde(default)]
    pub observer_file: Option<PathBuf>,
    /// The database URL of the role that approved steps use.
    #[serde(default)]
    pub operator: Option<String>,
    #[serde(default)]
    pub operator_file: Option<PathBuf>,
    /// The address that calls are made below, `https` unless it is on this machine or in a private network.
    #[serde(default)]
    pub base: Option<url::Url>,
    /// Sent with every call, such as an API key.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub headers: BTreeMap<String, String>,
    /// The same, each in a file of its own.
    #[serde(default)]
    pub header_files: BTreeMap<String, PathBuf>,
    /// The address may be private or this machine's own.
    #[serde(default)]
    pub allow_private: bool,
    /// The address is an object store that speaks S3; drbot only reads there.
    #[serde(default)]
    pub s3: Option<S3>,
    /// Programs on this machine: the name that runbooks use, and where it is.
    #[serde(default)]
    pub programs: BTreeMap<String, PathBuf>,
    /// All that these programs see of the environment; it is no secret.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Scalar>")]
    pub env: BTreeMap<String, String>,
    /// The same, each in a file of its own.
    #[serde(default)]
    pub env_files: BTreeMap<String, PathBuf>,
}

/// An object store behind `base`: which part of it, and the key that may list and read it.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// The bucket; left out if it is part of `base`.
    #[serde(default)]
    pub bucket: String,
    /// Where the bucket is, such as `eu-central-1`; it is part of the signature.
    pub region: String,
    #[serde(default)]
    pub access_key: Option<String>,
    #[serde(default)]
    pub access_key_file: Option<PathBuf>,
    #[serde(default)]
    pub secret_key: Option<String>,
    #[serde(default)]
    pub secret_key_file: Option<PathBuf>,
    /// In front of every key; ends with `/`.
    #[serde(default)]
    pub prefix: String,
}

impl S3 {
    fn faults(&self, name: &str) -> Vec<String> {
        let name = format!("targets.{name}.s3");
        let mut faults = Vec::new();
        for (key, given) in [("access_key", &self.access_key), ("secret_key", &self.secret_key)] {
            if given.as_ref().is_none_or(|k| k.trim().is_empty()) {
                faults.push(format!(
                    "{name}.{key} is missing: a key that may list and read the bucket, and nothing else"
                ));
            }
        }
        if self.region.trim().is_empty() {
            faults.push(format!("{name}.region is empty: the store's region, such as eu-central-1"));
        }
        if !self.prefix.is_empty() && (!self.prefix.ends_with('/') || self.prefix.starts_with('/')) {
            faults.push(format!("{name}.prefix is `{}`: it ends with / and does not begin with it", self.prefix));
        }
        faults
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target(..)")
    }
}

impl Target {
    /// Reads what stands in files, relative to `folder`.
    pub(super) fn read_secrets(&mut self, name: &str, folder: &Path) -> Vec<Result<(), String>> {
        let mut results = vec![
            secret(&format!("targets.{name}.observer"), &mut self.observer, &self.observer_file, folder),
            secret(&format!("targets.{name}.operator"), &mut self.operator, &self.operator_file, folder),
        ];
        if let Some(s3) = &mut self.s3 {
            let at = format!("targets.{name}.s3");
            results.push(secret(&format!("{at}.access_key"), &mut s3.access_key, &s3.access_key_file, folder));
            results.push(secret(&format!("{at}.secret_key"), &mut s3.secret_key, &s3.secret_key_file, folder));
        }
        let kinds = [("headers", &mut self.headers, &self.header_files), ("env", &mut self.env, &self.env_files)];
        for (kind, given, files) in kinds {
            for (key, file) in files {
                let mut value = given.get(key).cloned();
                results.push(secret(&format!("targets.{name}.{kind}.{key}"), &mut value, &Some(file.clone()), folder));
                given.extend(value.map(|v| (key.clone(), v)));
            }
        }
        results
    }

    /// What is wrong with it.
    pub(super) fn faults(&self, name: &str) -> Vec<String> {
        let database = self.observer.is_some() || self.operator.is_some();
        let kinds = [database, self.base.is_some(), !self.programs.is_empty()];
        let mut faults = Vec::new();
        match kinds.iter().filter(|k| **k).count() {
            0 => faults.push(format!(
                "targets.{name} is empty: a database has `observer` (the URL of the role that only reads; `drbot target sql {name}` prints how to make it), an HTTP target `base`, programs `programs`"
            )),
            1 => {}
            _ => faults.push(format!("targets.{name} is several things at once: split it into one target each")),
        }
        if database && self.observer.is_none() {
            faults.push(format!(
                "targets.{name}.observer is missing: the URL of the role that only reads (`drbot target sql {name}` prints how to make it)"
            ));
        }
        if database && self.observer == self.operator {
            faults.push(format!(
                "targets.{name}: observer and operator are the same: the observer must not be able to write, so give it a role of its own"
            ));
        }
        faults.extend(self.base.iter().filter_map(|base| self.base_fault(name, base)));
        if self.base.is_none() && (!self.headers.is_empty() || self.allow_private) {
            faults.push(format!("targets.{name}: headers and allow_private belong to a target with `base`"));
        }
        faults.extend(self.s3.iter().flat_map(|s3| s3.faults(name)));
        if self.s3.is_some() && (self.base.is_none() || !self.headers.is_empty()) {
            faults.push(format!(
                "targets.{name}: s3 needs `base`, the store's address, and no headers: calls are signed"
            ));
        }
        if self.programs.is_empty() && !self.env.is_empty() {
            faults.push(format!("targets.{name}: env belongs to a target with `programs`"));
        }
        let relative = self.programs.iter().filter(|(_, path)| !path.is_absolute());
        faults.extend(relative.map(|(program, path)| {
            format!("targets.{name}.programs.{program} is `{}`: write its absolute path", path.display())
        }));
        faults
    }

    fn base_fault(&self, name: &str, base: &url::Url) -> Option<String> {
        let fault = match base.scheme() {
            "https" => None,
            "http" if self.allow_private => None,
            "http" => Some("is http: use https, or say `allow_private: true` for an address of your own network"),
            _ => Some("is neither https nor http"),
        };
        let fault = fault.or((!base.username().is_empty() || base.password().is_some()).then_some("holds a user"));
        let fault = fault.or(base.query().or(base.fragment()).map(|_| "holds a query: it may only end in a path"));
        fault.map(|f| format!("targets.{name}.base {f}"))
    }

    /// Every secret in it.
    pub(super) fn secrets(&self) -> impl Iterator<Item = String> {
        // A header is often `Bearer KEY`: the key alone must be found as well.
        let words = self.headers.values().filter_map(|v| v.split_once(' ')).map(|(_, key)| key.trim().to_owned());
        // What stands in the file itself is an address or a setting that identities and cards must show.
        let hidden = self.env.iter().filter(|(name, _)| self.env_files.contains_key(*name)).map(|(_, value)| value);
        let signing = self.s3.iter().flat_map(|s3| s3.access_key.iter().chain(&s3.secret_key));
        self.headers.values().chain(hidden).chain(signing).cloned().chain(words)
    }
}
