//! How targets refuse, for the entries of the table.

use super::entry::{Act, End, Trouble};

pub const NO_SIGNALS: Trouble = Trouble {
    on: Act::Sql("revoke pg_signal_backend from drbot_operator"),
    off: Act::Sql("grant pg_signal_backend to drbot_operator"),
    told: "42501",
    end: End::Probed,
};

pub const SUPABASE_403: Trouble = Trouble {
    on: Act::Vendors(|b| b.supabase.change_fault = Some(403)),
    off: Act::Vendors(|b| b.supabase.change_fault = None),
    told: "answered 403",
    end: End::Failed,
};

pub const SUPABASE_500: Trouble = Trouble {
    on: Act::Vendors(|b| b.supabase.change_fault = Some(500)),
    off: Act::Vendors(|b| b.supabase.change_fault = None),
    told: "answered 500",
    end: End::Unknown,
};

pub const STRIPE_403: Trouble = Trouble {
    on: Act::Vendors(|b| b.stripe.change_fault = Some(403)),
    off: Act::Vendors(|b| b.stripe.change_fault = None),
    told: "answered 403",
    end: End::Failed,
};

pub const STRIPE_500: Trouble = Trouble {
    on: Act::Vendors(|b| b.stripe.change_fault = Some(500)),
    off: Act::Vendors(|b| b.stripe.change_fault = None),
    told: "answered 500",
    end: End::Failed,
};

pub const APP_403: Trouble = Trouble {
    on: Act::Vendors(|b| b.app.change_fault = Some(403)),
    off: Act::Vendors(|b| b.app.change_fault = None),
    told: "answered 403",
    end: End::Failed,
};

pub const GITHUB_403: Trouble = Trouble {
    on: Act::Vendors(|b| b.github.fault = Some(403)),
    off: Act::Vendors(|b| b.github.fault = None),
    told: "answered 403",
    end: End::Failed,
};

pub const GITHUB_500: Trouble = Trouble {
    on: Act::Vendors(|b| b.github.fault = Some(500)),
    off: Act::Vendors(|b| b.github.fault = None),
    told: "answered 500",
    end: End::Unknown,
};

/// A refusal inside another database of the server.
pub const fn within(database: &'static str, on: &'static str, off: &'static str, told: &'static str) -> Trouble {
    Trouble { on: Act::In(database, on), off: Act::In(database, off), told, end: End::Failed }
}

/// A target that refuses by a right that is gone, or by its own word; nothing remains.
pub const fn refuses(on: &'static str, off: &'static str, told: &'static str) -> Trouble {
    Trouble { on: Act::Sql(on), off: Act::Sql(off), told, end: End::Failed }
}
