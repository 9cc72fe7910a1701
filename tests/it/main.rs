//! The one integration binary (linking is the slow part): each module drives the running program from
//! outside and believes the other side's own record.

mod approvals;
mod catalog;
mod config;
mod crash;
mod demo;
mod execute_http;
mod execute_process;
mod execute_process_output;
mod execute_sql;
mod execute_sql_change;
mod manual;
mod messages;
mod post_rate;
mod post_slack;
mod practice_page;
mod practice_slack;
mod properties;
mod runbook_s8;
mod saas;
mod scenario_s3;
mod secrets;
mod status;
mod steps_http;
mod steps_process;
mod store;
mod story;
mod stripe_story;
mod support;
mod tidy;
mod vendors;
mod webhook;
mod world;
