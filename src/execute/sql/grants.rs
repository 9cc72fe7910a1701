//! The roles and the ledger drbot needs in a target. Takes names; gives SQL text for an administrator
//! to read and run. It holds no passwords and may be run again at any time.

/// The SQL for one target's database. Run it with `psql` as a role that may create roles.
#[must_use]
pub fn grants(target_name: &str, database: &str) -> String {
    let target = target_name.replace(char::is_control, " ");
    let database = format!("\"{}\"", database.replace('"', "\"\""));
    TEMPLATE.replace("%TARGET%", &target).replace("%DATABASE%", &database)
}

const TEMPLATE: &str = r#"-- drbot: roles and ledger for target %TARGET%, to be run in database %DATABASE%.
-- PostgreSQL 14 or newer. Safe to run again. Afterwards set the passwords, in psql:
--   \password drbot_observer
--   \password drbot_operator

DO $drbot$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drbot_observer') THEN
        CREATE ROLE drbot_observer LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'drbot_operator') THEN
        CREATE ROLE drbot_operator LOGIN;
    END IF;
END
$drbot$;

-- The observer asks. drbot refuses to use it if it could change anything.
ALTER ROLE drbot_observer SET default_transaction_read_only = on;
ALTER ROLE drbot_observer CONNECTION LIMIT 20;
GRANT pg_monitor TO drbot_observer;
GRANT CONNECT ON DATABASE %DATABASE% TO drbot_observer;
GRANT USAGE ON SCHEMA public TO drbot_observer;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO drbot_observer;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO drbot_observer;

-- Where everybody may create tables in schema public (databases made before PostgreSQL 15) drbot will
-- refuse the observer until this is run. It takes the right from every role, so read it twice:
-- REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- The operator acts, after an approval: it may cancel and terminate sessions of roles that are no
-- superusers. A step that changes tables needs its own GRANT here.
ALTER ROLE drbot_operator CONNECTION LIMIT 20;
GRANT pg_monitor, pg_signal_backend TO drbot_operator;
GRANT CONNECT ON DATABASE %DATABASE% TO drbot_operator;
GRANT USAGE ON SCHEMA public TO drbot_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO drbot_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO drbot_operator;

-- The ledger: one row per atomic step, committed together with its effect. It is added to, never changed.
CREATE SCHEMA IF NOT EXISTS drbot;
CREATE TABLE IF NOT EXISTS drbot.ledger (
    execution_id text PRIMARY KEY,
    digest       text NOT NULL,
    at           timestamptz NOT NULL,
    xid          xid8 DEFAULT pg_current_xact_id()
);
REVOKE ALL ON SCHEMA drbot FROM PUBLIC;
REVOKE ALL ON drbot.ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA drbot TO drbot_observer, drbot_operator;
GRANT SELECT ON drbot.ledger TO drbot_observer, drbot_operator;
GRANT INSERT ON drbot.ledger TO drbot_operator;
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_nothing_is_secret() {
        let sql = grants("main\n; drop", "odd\"name");
        assert!(sql.contains("\"odd\"\"name\"") && sql.contains("-- drbot: roles and ledger for target main ; drop"));
        assert!(!sql.contains('%') && !sql.contains("PASSWORD '"));
    }
}
