#!/usr/bin/env bash
# The off-site backup job: what restore-backup, total-data-loss and drill restore. Run it from cron, at least as
# often as the RPO asks, on a machine that is not the vendor's and whose loss is not the vendor's loss.
#
#   PGSERVICEFILE    its service `live` is the live database: the direct address or the pooler's session mode,
#                    as a role with pg_read_all_data and BYPASSRLS. The password stands in PGPASSFILE.
#   STORE            address of the off-site folder, as the runbooks' parameter `store`; its credentials may
#                    add and not delete (object lock), and `manifest.json` holds [] before the first run
#   STORE_CONFIG     curl's own configuration with these credentials, as the parameter `store_config`
#   PASSPHRASE_FILE  the passphrase, mode 0600, kept at a third place too: without it no backup is one
#   FOLDER           a folder of its own, mode 0700. Only what is encrypted is written there.
#   SERVICE          default live
#   SCHEMAS          what is the application's; default: public supabase_migrations. Each must exist.
#   ACCOUNTS         the vendor's tables whose rows are needed to log in. They exist in every new project, so
#                    only their rows go along. Default: auth.users auth.identities auth.mfa_factors
#   MANAGED_ROLES    roles whose default privileges a new project has already, and which nobody else may set;
#                    default: supabase_admin
#
# pg_dump must be at least as new as the server. What no dump of these holds (functions, storage, triggers and
# policies on the vendor's tables) is the list of total-data-loss, step surroundings.
set -euo pipefail
umask 077
for name in PGSERVICEFILE STORE STORE_CONFIG PASSPHRASE_FILE FOLDER; do
    [ -n "${!name:-}" ] || { echo "backup: $name is not set; the top of this file says what it is" >&2; exit 2; }
done
read -ra schemas <<<"${SCHEMAS:-public supabase_migrations}"
read -ra accounts <<<"${ACCOUNTS:-auth.users auth.identities auth.mfa_factors}"
tables=(users user_roles user_sessions user_security_settings calendars calendar_settings bookings
    booking_payments payment_settings business_stripe_accounts webhook_events whatsapp_conversations
    whatsapp_messages login_history security_events_log audit_trail)
live="service=${SERVICE:-live} application_name=drbot-backup"
cd "$FOLDER"
exec 9>lock
flock --nonblock 9 || { echo "backup: another one is running in $FOLDER" >&2; exit 1; }
store() { curl --config "$STORE_CONFIG" --fail --silent --show-error --globoff "$@"; }
store --output manifest.old "$STORE/manifest.json" ||
    { echo "backup: no manifest.json at $STORE; before the first run put a file there that holds []" >&2; exit 1; }

# Both dumps and the counts see the same moment: one session holds its snapshot until they are done.
coproc held {
    psql --no-psqlrc --quiet --no-password --tuples-only --no-align --set ON_ERROR_STOP=1 --dbname "$live"
}
session=$held_PID
ask() { echo "$1" >&"${held[1]}" && read -r answer <&"${held[0]}" || { echo "backup: the database did not answer" >&2; exit 1; }; }
echo "set idle_in_transaction_session_timeout = 0; set statement_timeout = 0;
    begin isolation level repeatable read read only;" >&"${held[1]}"
ask "select pg_export_snapshot();"
snapshot=$answer
ask "select to_char(now() at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"');"
taken=$answer
counted=$(printf "select '%s' as name, count(*) as n from public.%s union all " $(printf '%s\n' "${tables[@]}" | sed 'p'))
ask "select json_object_agg(name, n) from ($counted
    select 'granted_' || r.role, count(distinct c.oid)
    from (values ('anon'), ('authenticated')) as r(role)
    left join pg_roles g on g.rolname = r.role
    left join (select c.oid, a.grantee from pg_class c, aclexplode(c.relacl) a
               where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')) c on c.grantee = g.oid
    group by r.role) as counted;"
counts=$answer

dump() { pg_dump --dbname "$live" --no-password --snapshot "$snapshot" --no-owner --strict-names "$@"; }
# Every new project has a schema public and these default privileges; rows of tables are never looked at.
own() {
    awk -v managed="${MANAGED_ROLES:-supabase_admin}" '
        BEGIN { n = split(managed, roles, " "); for (i = 1; i <= n; i++) skip["ALTER DEFAULT PRIVILEGES FOR ROLE " roles[i]] }
        data { print; if ($0 == "\\.") data = 0; next }
        /^COPY [^;]* FROM stdin;$/ { data = 1 }
        $0 == "CREATE SCHEMA public;" { next }
        /^ALTER DEFAULT PRIVILEGES FOR ROLE / { start = $1 " " $2 " " $3 " " $4 " " $5 " " $6; if (start in skip) next }
        { print }'
}
# Accounts first: the application's tables may refer to them.
{
    dump --data-only "${accounts[@]/#/--table=}"
    dump "${schemas[@]/#/--schema=}" | own
} | gzip | gpg --batch --yes --no-tty --pinentry-mode loopback --passphrase-file "$PASSPHRASE_FILE" \
    --compress-algo none --symmetric --output backup.gpg
echo "commit; \\q" >&"${held[1]}"
wait "$session"

key="backup-${taken//[-:]/}.sql.gz.gpg"
sum=$(sha256sum backup.gpg | cut -d ' ' -f 1)
jq --arg key "$key" --arg sha256 "$sum" --argjson bytes "$(stat -c %s backup.gpg)" --arg taken_at "$taken" --argjson counts "$counts" \
    '. + [{$key, $sha256, $bytes, $taken_at, $counts}]' manifest.old >manifest.json
# The list names a backup only when it is there.
store --upload-file backup.gpg "$STORE/$key"
store --upload-file manifest.json "$STORE/manifest.json"
rm backup.gpg manifest.old manifest.json
echo "backup: $key holds the data of $taken"
