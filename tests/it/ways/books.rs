//! The table: every changing step of the shipped runbooks that only needs the database and vendors of its own
//! scenario. An entry is all that a new step needs; `real` says which stage a runbook plays on. `corruption` and
//! `loss` hold two longer books.

use super::entry::{Act, Again, Back, Book, End, PLAY, Play, Record, Trouble, WAY, Way};
use super::troubles::{APP_403, NO_SIGNALS, STRIPE_403, STRIPE_500, SUPABASE_403, SUPABASE_500, refuses};
use crate::saas::SAAS;
use crate::scenario_s2::{BEFORE, GOOD};
use crate::scenario_s6::PAST_DUE;
use crate::vendors::github::WORKFLOW;
use crate::vendors::n8n::KEY as N8N;
use crate::vendors::supabase::SECRET;

const STUCK: &str = "select count(*) from pg_stat_activity where usename = 'app' and state = 'idle in transaction'";
const LONG: &str =
    "select count(*) from pg_stat_activity where usename = 'app' and state = 'active' and query like '%pg_sleep%'";

pub const DATABASE_UNAVAILABLE: Book = Book {
    runbook: "database-unavailable",
    plays: &[Play {
        given: "idle_for=1s",
        choose: &["Stuck connections or a restart", "Restart the project", "That is enough"],
        ways: &[
            Way {
                step: "end-stuck-transactions",
                record: Record::Sql(STUCK),
                troubles: &[NO_SIGNALS],
                undo: Back::None("the open transactions were rolled back"),
                ..WAY
            },
            Way {
                step: "restart",
                record: Record::Vendors(|b| b.supabase.restarts.to_string()),
                troubles: &[SUPABASE_403, SUPABASE_500],
                again: Again::Asks,
                undo: Back::None("a restart loses no data that was committed"),
                ..WAY
            },
        ],
        ..PLAY
    }],
};

pub const DATABASE_PERFORMANCE: Book = Book {
    runbook: "database-performance",
    plays: &[Play {
        given: "longer_than=1s",
        ways: &[
            Way {
                step: "cancel-long-queries",
                record: Record::Sql(LONG),
                troubles: &[NO_SIGNALS],
                undo: Back::None("the client may send the statement again"),
                ..WAY
            },
            Way {
                step: "terminate-blockers",
                record: Record::Sql(STUCK),
                troubles: &[NO_SIGNALS],
                undo: Back::None("the session's open transaction was rolled back"),
                ..WAY
            },
        ],
        ..PLAY
    }],
};

pub const EDGE_FUNCTION_TIMEOUT: Book = Book {
    runbook: "edge-function-timeout",
    plays: &[Play {
        given: "sha={good} since={since} until={now}",
        ways: &[Way {
            step: "redeploy",
            record: Record::Vendors(|b| {
                let function = b.supabase.functions.all.get("booking-api");
                let coming = |f: &crate::vendors::functions::Function| f.coming.as_ref().map(|(sha, _)| sha.clone());
                function.map_or_else(String::new, |f| coming(f).unwrap_or_else(|| f.sha.clone()))
            }),
            troubles: &[
                Trouble {
                    on: Act::Vendors(|b| b.github.fault = Some(403)),
                    off: Act::Vendors(|b| b.github.fault = None),
                    told: "answered 403",
                    end: End::Failed,
                },
                Trouble {
                    on: Act::Vendors(|b| b.github.fault = Some(500)),
                    off: Act::Vendors(|b| b.github.fault = None),
                    told: "answered 500",
                    end: End::Unknown,
                },
            ],
            again: Again::Asks,
            undo: Back::ByHand(
                "run the same workflow with the commit that was deployed before",
                Act::Call(
                    "POST",
                    WORKFLOW,
                    ("authorization", "Bearer {github}"),
                    r#"{"ref": "main", "inputs": {"function": "booking-api", "sha": "{sha_before}"}}"#,
                ),
            ),
            ..WAY
        }],
        ..PLAY
    }],
};

/// What the stage of edge functions fills in.
pub const COMMITS: (&str, &str) = (GOOD, BEFORE);

const ARRIVED: &str = "insert into webhook_events (event_type, stripe_event_id)
 select 'payment_intent.succeeded', e from unnest(array['evt_lost1', 'evt_lost2', 'evt_lost3', 'evt_unseen']) e
 on conflict (stripe_event_id) do update set status = 'processed', error_message = null";

pub const STRIPE_WEBHOOK_FAILURES: Book = Book {
    runbook: "stripe-webhook-failures",
    plays: &[
        Play {
            given: "payment=pi_practice7 confirm=yes destination=ed_practice",
            ways: &[
                Way {
                    step: "resend",
                    record: Record::Vendors(|b| made(&b.stripe.made, "/retry")),
                    troubles: &[STRIPE_403],
                    after: Some(Act::Sql(ARRIVED)),
                    undo: Back::None("an event that arrives twice is one event"),
                    ..WAY
                },
                Way {
                    step: "repair",
                    record: Record::Tables(&["booking_payments"]),
                    kept: Some(Record::Tables(&["audit_trail"])),
                    troubles: &[refuses(
                        "revoke insert on audit_trail from drbot_operator",
                        "grant insert on audit_trail to drbot_operator",
                        "permission denied",
                    )],
                    undo: Back::Words(SAAS, "by the owner: "),
                    ..WAY
                },
                Way {
                    step: "confirm",
                    record: Record::Vendors(|b| b.app.mails.join(" ")),
                    troubles: &[APP_403],
                    again: Again::Same,
                    undo: Back::None("a mail that was sent is sent"),
                    ..WAY
                },
                Way {
                    step: "ping",
                    record: Record::Vendors(|b| made(&b.stripe.made, "/ping")),
                    troubles: &[STRIPE_500],
                    after: Some(Act::Sql(
                        "insert into webhook_events (event_type, stripe_event_id) values ('v2.core.event_destination.ping', 'evt_ping')",
                    )),
                    again: Again::Asks,
                    undo: Back::None("a ping changes nothing"),
                    ..WAY
                },
            ],
            ..PLAY
        },
        Play {
            given: "resend_by=app",
            ways: &[Way {
                step: "reprocess",
                record: Record::Vendors(|b| format!("{:?}", b.app.processed)),
                troubles: &[APP_403],
                after: Some(Act::Sql(
                    "update webhook_events set status = 'processed' where stripe_event_id = 'evt_taken'",
                )),
                undo: Back::None("the function knows the event's id and does nothing twice"),
                ..WAY
            }],
            ..PLAY
        },
    ],
};

fn made(all: &[String], part: &str) -> String {
    all.iter().filter(|p| p.contains(part)).cloned().collect::<Vec<_>>().join(" ")
}

pub const WHATSAPP_DOWN: Book = Book {
    runbook: "whatsapp-down",
    plays: &[Play {
        given: "calendar={calendar}",
        before: &[
            Act::Vendors(|b| b.n8n.active = false),
            Act::Sql("delete from whatsapp_messages m using whatsapp_conversations c where c.id = m.conversation_id and c.calendar_id = id('calendar-1') and m.created_at > now() - interval '10 hours'"),
        ],
        people: &[
            ("reconnect", Act::Sql("update calendar_settings set whatsapp_bot_active = false, whatsapp_qr_url = 'https://qr.example/new', whatsapp_qr_generated_at = now() where calendar_id = id('calendar-1');
              insert into whatsapp_messages (conversation_id, direction, body, created_at) select (select id from whatsapp_conversations where calendar_id = id('calendar-1') limit 1), d, 'test', clock_timestamp() from (values ('in'), ('out')) v(d)")),
        ],
        ways: &[
            Way {
                step: "activate",
                record: Record::Vendors(|b| b.n8n.active.to_string()),
                troubles: &[Trouble {
                    on: Act::Vendors(|b| b.n8n.change_fault = Some(409)),
                    off: Act::Vendors(|b| b.n8n.change_fault = None),
                    told: "answered 409",
                    end: End::Failed,
                }],
                undo: Back::ByHand(
                    "deactivate puts it back",
                    Act::Call("POST", "/n8n/api/v1/workflows/wf1WhatsAppBooking/deactivate", ("X-N8N-API-KEY", N8N), ""),
                ),
                ..WAY
            },
            Way {
                step: "new-code",
                record: Record::Tables(&["calendar_settings"]),
                kept: Some(Record::Tables(&["drbot.whatsapp_before"])),
                troubles: &[refuses(
                    "revoke update (whatsapp_qr_generated_at) on calendar_settings from drbot_operator",
                    "grant update (whatsapp_qr_generated_at) on calendar_settings to drbot_operator",
                    "42501",
                )],
                undo: Back::Words(SAAS, "By hand: "),
                ..WAY
            },
            Way {
                step: "bot-on",
                record: Record::Tables(&["calendar_settings"]),
                troubles: &[refuses(
                    "create function refuse() returns trigger language plpgsql as $$ begin raise 'the application says no'; end $$;
                     create trigger refuse before update on calendar_settings for each row execute function refuse()",
                    "drop trigger refuse on calendar_settings",
                    "the application says no",
                )],
                undo: Back::ByHand(
                    "set whatsapp_bot_active = false for this calendar",
                    Act::Sql("update calendar_settings set whatsapp_bot_active = false where calendar_id = id('calendar-1')"),
                ),
                ..WAY
            },
        ],
        ..PLAY
    }],
};

pub const STRIPE_ACCOUNT_SUSPENDED: Book = Book {
    runbook: "stripe-account-suspended",
    plays: &[
        Play {
            before: &[Act::Vendors(|b| {
                b.stripe.account("acct_practice2", Some(PAST_DUE), &["individual.verification.document"])
            })],
            choose: &["Payments optional for now"],
            until: Some("optional"),
            ways: &[Way {
                step: "optional",
                record: Record::Sql("select md5(string_agg(t::text, '|' order by t::text)) from payment_settings t"),
                kept: Some(Record::Sql("select count(*) from drbot.payment_before where back_at is null")),
                troubles: &[refuses(
                    "revoke insert on drbot.payment_before from drbot_operator",
                    "grant insert on drbot.payment_before to drbot_operator",
                    "permission denied",
                )],
                undo: Back::Step("Give every calendar its old setting back"),
                ..WAY
            }],
            ..PLAY
        },
        Play {
            given: "account=acct_practice2",
            before: &[Act::Sql(
                "update business_stripe_accounts set charges_enabled = false, payouts_enabled = false, account_status = 'suspended' where stripe_account_id = 'acct_practice2'",
            )],
            choose: &["Payments optional for now"],
            people: &[("new-account", Act::Vendors(|b| b.stripe.account("acct_practice2", None, &[])))],
            ways: &[
                Way {
                    step: "onboarding-link",
                    record: Record::Vendors(|b| made(&b.stripe.made, "account_links")),
                    troubles: &[STRIPE_403],
                    undo: Back::None("the link ends by itself after minutes"),
                    ..WAY
                },
                Way {
                    step: "sync",
                    record: Record::Tables(&["business_stripe_accounts"]),
                    kept: Some(Record::Tables(&["audit_trail"])),
                    troubles: &[refuses(
                        "revoke insert on audit_trail from drbot_operator",
                        "grant insert on audit_trail to drbot_operator",
                        "permission denied",
                    )],
                    undo: Back::None("an older copy would be wrong"),
                    ..WAY
                },
                Way {
                    step: "required-again",
                    record: Record::Tables(&["payment_settings"]),
                    kept: Some(Record::Tables(&["drbot.payment_before"])),
                    troubles: &[refuses(
                        "revoke update (payment_required_for_booking) on payment_settings from drbot_operator",
                        "grant update (payment_required_for_booking) on payment_settings to drbot_operator",
                        "permission denied",
                    )],
                    undo: Back::ByHand("run again and choose that payments become optional", Act::Elsewhere),
                    ..WAY
                },
            ],
            ..PLAY
        },
    ],
};

const SETTINGS: Record = Record::Tables(&["user_security_settings"]);

pub const SECURITY_BREACH: Book = Book {
    runbook: "security-breach",
    plays: &[Play {
        given: "user={user} since={since}",
        ways: &[
            Way {
                step: "ban",
                record: Record::Vendors(|b| format!("{:?}", b.supabase.bans.iter().filter(|(_, d)| *d != "none").collect::<Vec<_>>())),
                troubles: &[SUPABASE_403],
                after: Some(Act::Sql("update auth.users set banned_until = now() + interval '168 hours' where id = id('user-9')")),
                undo: Back::ByHand(
                    "the same call with ban_duration none lifts the ban",
                    Act::Call("PUT", "/auth/auth/v1/admin/users/{user}", ("apikey", SECRET), r#"{"ban_duration": "none"}"#),
                ),
                ..WAY
            },
            Way {
                step: "end-sessions",
                record: Record::Tables(&["auth.sessions", "user_sessions"]),
                troubles: &[refuses(
                    "revoke delete on auth.sessions from drbot_operator",
                    "grant delete on auth.sessions to drbot_operator",
                    "permission denied",
                )],
                undo: Back::None("the owner signs in again"),
                ..WAY
            },
            Way {
                step: "force-password",
                record: SETTINGS,
                troubles: &[refuses(
                    "create function refuse() returns trigger language plpgsql as $$ begin raise 'the application says no'; end $$;
                     create trigger refuse before update on user_security_settings for each row execute function refuse()",
                    "drop trigger refuse on user_security_settings",
                    "the application says no",
                )],
                undo: Back::ByHand(
                    "set force_password_change back to false for that user",
                    Act::Sql("update user_security_settings set force_password_change = false where user_id = id('user-9')"),
                ),
                ..WAY
            },
            Way {
                step: "take-back-roles",
                record: Record::Tables(&["user_roles"]),
                troubles: &[refuses(
                    "revoke delete on user_roles from drbot_operator",
                    "grant delete on user_roles to drbot_operator",
                    "permission denied",
                )],
                undo: Back::ByHand(
                    "insert the listed rows again",
                    Act::Sql("insert into user_roles select id('user-' || a.target), a.role, e.created_at
                      from (values (9, 'admin'), (40, 'admin'), (1, 'owner'), (2, 'owner'), (3, 'owner')) as a(target, role)
                      join security_events_log e on e.event_data->>'target_user_id' = id('user-' || a.target)::text and e.event_data->>'role' = a.role"),
                ),
                ..WAY
            },
            Way {
                step: "second-factor",
                record: SETTINGS,
                troubles: &[refuses(
                    "revoke update (two_factor_required) on user_security_settings from drbot_operator",
                    "grant update (two_factor_required) on user_security_settings to drbot_operator",
                    "permission denied",
                )],
                undo: Back::ByHand(
                    "set two_factor_required back to false for the listed users",
                    Act::Sql("update user_security_settings set two_factor_required = false where user_id in (id('user-1'), id('user-2'), id('user-3'))"),
                ),
                ..WAY
            },
        ],
        ..PLAY
    }],
};
