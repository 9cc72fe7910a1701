//! The one integration binary (linking is the slow part): each module drives the running program from
//! outside and believes the other side's own record.

mod execute_sql;
mod execute_sql_change;
mod messages;
mod post_rate;
mod post_slack;
mod practice_slack;
mod properties;
mod runbook_s8;
mod status;
mod story;
mod support;
mod world;
