//! The entries of data corruption: its restore point and its three repairs, each in a run of its own. Gives the book
//! to `real`.

use super::entry::{Act, Again, Back, Book, PLAY, Play, Record, WAY, Way};
use super::troubles::{SUPABASE_403, SUPABASE_500, refuses};
use crate::scenario_s4::{COPY, DAMAGE};

pub const DATA_CORRUPTION: Book = Book {
    runbook: "data-corruption",
    plays: &[
        Play {
            given: "repair=parents",
            before: &[Act::Sql(COPY), Act::Sql(DAMAGE)],
            ways: &[
                Way {
                    step: "restore-point",
                    record: Record::Vendors(|b| format!("{:?}", b.supabase.restore_points.values().map(|p| p.len()).max().unwrap_or(0))),
                    troubles: &[SUPABASE_403, SUPABASE_500],
                    undo: Back::None("a restore point that nobody goes back to changes nothing"),
                    ..WAY
                },
                Way {
                    step: "restore-parents",
                    record: Record::Tables(&["calendars", "bookings", "whatsapp_conversations"]),
                    troubles: &[refuses(
                        "insert into calendars values (id('squatter'), id('user-5'), 'Squatter', 'calendar-2', '2026-01-01')",
                        "delete from calendars where id = id('squatter')",
                        "rolled back",
                    )],
                    undo: Back::ByHand(
                        "delete what came back by its id",
                        Act::Sql("set session_replication_role = replica; delete from calendars where id = id('calendar-2');
                          delete from bookings where id = id('booking-5'); delete from whatsapp_conversations where id = id('conversation-2')"),
                    ),
                    ..WAY
                },
            ],
            ..PLAY
        },
        Play {
            given: "repair=quarantine restore_point=second",
            ways: &[Way {
                step: "quarantine",
                record: Record::Tables(&["bookings", "booking_payments", "whatsapp_messages", "quarantine.rows"]),
                troubles: &[refuses(
                    "revoke insert on quarantine.rows from drbot_operator",
                    "grant insert on quarantine.rows to drbot_operator",
                    "permission denied",
                )],
                undo: Back::ByHand(
                    "insert the rows back from quarantine.rows",
                    Act::Sql("set session_replication_role = replica;
                      insert into bookings select (jsonb_populate_record(null::bookings, content)).* from quarantine.rows where relation = 'bookings';
                      insert into booking_payments select (jsonb_populate_record(null::booking_payments, content)).* from quarantine.rows where relation = 'booking_payments';
                      insert into whatsapp_messages select (jsonb_populate_record(null::whatsapp_messages, content)).* from quarantine.rows where relation = 'whatsapp_messages';
                      delete from quarantine.rows"),
                ),
                ..WAY
            }],
            ..PLAY
        },
        Play {
            given: "repair=rewind restore_point=third restore_to={to} scratch_copy=looked-at-this confirm_project={project}",
            ways: &[Way {
                step: "rewind",
                record: Record::Vendors(|b| format!("{:?}", b.supabase.rewinds)),
                troubles: &[SUPABASE_403, SUPABASE_500],
                after: Some(Act::Restart(|b| b.supabase.projects.values_mut().for_each(|s| *s = "ACTIVE_HEALTHY".into()))),
                again: Again::Asks,
                undo: Back::ByHand(
                    "/database/backups/undo with the restore point's name",
                    Act::Call("POST", "/management/v1/projects/{project}/database/backups/undo", ("authorization", "Bearer {token}"), r#"{"name": "third"}"#),
                ),
                ..WAY
            }],
            ..PLAY
        },
    ],
};
