//! The one integration binary (linking is the slow part): each module drives the running program from
//! outside and believes the other side's own record.

mod crash;
mod execute_sql;
mod execute_sql_change;
mod post_rate;
mod post_slack;
mod practice_slack;
mod runbook_s8;
mod status;
mod store;
mod story;
mod support;
mod world;
