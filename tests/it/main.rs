//! The one integration binary (linking is the slow part): each module drives the running program from
//! outside and believes the other side's own record.

mod approvals;
mod demo;
mod execute_http;
mod execute_process;
mod execute_process_output;
mod execute_sql;
mod execute_sql_change;
mod manual;
mod post_rate;
mod post_slack;
mod practice_slack;
mod runbook_s8;
mod secrets;
mod status;
mod story;
mod support;
mod webhook;
mod world;
