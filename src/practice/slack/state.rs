//! What the practice Slack remembers. Takes method calls that were found well-formed; gives channels,
//! messages with all their earlier versions, private messages, forms, and what went wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::check;
use super::fault::Fault;
use super::{Setup, User};
use crate::model::id::Ids;
use crate::model::time::Millis;

const TRIGGER_LIFE_MS: i64 = 3_000;
const HOOK_LIFE_MS: i64 = 30 * 60_000;
const HOOK_USES: u32 = 5;

/// One message as it is now, with what it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub channel: String,
    pub ts: String,
    pub thread_ts: Option<String>,
    pub user: String,
    /// Set when an app wrote it.
    pub bot: Option<String>,
    pub text: String,
    pub blocks: Vec<Value>,
    pub metadata: Option<Value>,
    /// Earlier versions, oldest first.
    pub edits: Vec<(String, Vec<Value>)>,
    pub deleted: bool,
}

/// A message that only one user sees.
#[derive(Debug, Clone, PartialEq)]
pub struct Private {
    pub channel: String,
    pub user: String,
    pub ts: String,
    pub text: String,
    pub blocks: Vec<Value>,
    /// The message in whose thread it shows.
    pub thread: Option<String>,
    /// `chat.postEphemeral`, `response_url` or `answer`.
    pub via: String,
}

/// A modal.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    pub id: String,
    pub user: String,
    pub view: Value,
    pub open: bool,
}

/// One call that reached a method.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub method: String,
    pub at: Millis,
    pub params: Value,
}

/// A gesture of a user and how fast the bot answered; `status` 0 means no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Gesture {
    pub kind: String,
    pub status: u16,
    pub latency: Duration,
}

/// A channel: its name, who is in it, what was said.
#[derive(Debug, Clone, Default)]
pub struct Channel {
    pub name: String,
    pub members: BTreeSet<String>,
    pub private: bool,
    pub messages: Vec<Message>,
    pub last_post: Option<Millis>,
}

#[derive(Debug)]
struct Trigger {
    user: String,
    made: Millis,
    used: bool,
}

#[derive(Debug)]
struct Hook {
    channel: String,
    user: String,
    made: Millis,
    uses: u32,
}

/// Everything.
#[derive(Debug)]
pub struct State {
    pub setup: Setup,
    pub channels: BTreeMap<String, Channel>,
    pub privates: Vec<Private>,
    pub views: Vec<View>,
    pub calls: Vec<Call>,
    pub gestures: Vec<Gesture>,
    pub violations: Vec<String>,
    /// Per method: faults for the next calls.
    pub next_faults: BTreeMap<String, VecDeque<Fault>>,
    /// Per method: the fault of every call, when no other is next.
    pub faults: BTreeMap<String, Fault>,
    pub spacing: Option<Duration>,
    pub page: usize,
    triggers: BTreeMap<String, Trigger>,
    hooks: BTreeMap<String, Hook>,
    ids: Ids,
    last_micros: i64,
}

/// An error as Slack names it, with the messages that explain it.
#[derive(Debug, Clone, PartialEq)]
pub struct Slip {
    pub error: String,
    pub messages: Vec<String>,
}

impl Slip {
    /// An error without an explanation.
    #[must_use]
    pub fn new(error: &str) -> Slip {
        Slip { error: error.to_owned(), messages: Vec::new() }
    }
}

/// What a bot wants to say.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub thread: Option<String>,
    pub text: String,
    pub blocks: Vec<Value>,
    pub metadata: Option<Value>,
}

impl State {
    /// An empty workspace with the channels and users of `setup`.
    #[must_use]
    pub fn new(setup: Setup) -> State {
        let people = setup.users.iter().map(|u| &u.user);
        let members: BTreeSet<String> = people.chain([&setup.bot_user]).cloned().collect();
        let channels = setup
            .channels
            .iter()
            .map(|(id, name)| {
                (id.clone(), Channel { name: name.clone(), members: members.clone(), ..Channel::default() })
            })
            .collect();
        State {
            channels,
            privates: Vec::new(),
            views: Vec::new(),
            calls: Vec::new(),
            gestures: Vec::new(),
            violations: Vec::new(),
            next_faults: BTreeMap::new(),
            faults: BTreeMap::new(),
            spacing: None,
            page: 200,
            triggers: BTreeMap::new(),
            hooks: BTreeMap::new(),
            ids: Ids::new([7; 32]),
            last_micros: 0,
            setup,
        }
    }

    /// The next time stamp, unique in the workspace.
    pub fn ts(&mut self, now: Millis) -> String {
        self.last_micros = (self.last_micros + 1).max(now.0 * 1000);
        format!("{}.{:06}", self.last_micros / 1_000_000, self.last_micros % 1_000_000)
    }

    /// An identifier in Slack's style: `prefix` and ten characters.
    pub fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}{}", self.ids.hex()[..10].to_uppercase())
    }

    /// A trigger for a gesture of `user`.
    pub fn trigger(&mut self, user: &str, now: Millis) -> String {
        let id = format!("{}.{}.{}", now.0, now.0 + 1, &self.ids.hex()[..24]);
        self.triggers.insert(id.clone(), Trigger { user: user.to_owned(), made: now, used: false });
        id
    }

    /// The secret part of a new `response_url`.
    pub fn hook(&mut self, channel: &str, user: &str, now: Millis) -> String {
        let id = self.ids.hex();
        let hook = Hook { channel: channel.to_owned(), user: user.to_owned(), made: now, uses: 0 };
        self.hooks.insert(id.clone(), hook);
        id
    }

    /// Who makes gestures in a channel is in it.
    pub fn join(&mut self, channel: &str, user: &User) {
        if let Some(found) = self.channels.get_mut(channel) {
            found.members.insert(user.user.clone());
        }
    }

    /// A message of a person, in a channel or in a thread of it.
    pub fn say(&mut self, user: &str, place: (&str, Option<&str>), text: &str, now: Millis) -> Result<String, Slip> {
        let (channel, thread) = place;
        self.root(channel, thread)?;
        let draft = Draft { thread: thread.map(str::to_owned), text: text.to_owned(), ..Draft::default() };
        self.add((user.to_owned(), None), channel, draft, now)
    }

    /// A thread hangs under a message of its channel.
    fn root(&self, channel: &str, thread: Option<&str>) -> Result<(), Slip> {
        let found = self.channels.get(channel).ok_or_else(|| Slip::new("channel_not_found"))?;
        let root = |ts: &str| found.messages.iter().any(|m| m.ts == ts && m.thread_ts.is_none() && !m.deleted);
        if thread.is_none_or(root) { Ok(()) } else { Err(Slip::new("thread_not_found")) }
    }

    /// `chat.postMessage`.
    pub fn post(&mut self, channel: &str, draft: Draft, now: Millis) -> Result<String, Slip> {
        check::message(&draft.text, &draft.blocks)?;
        self.root(channel, draft.thread.as_deref())?;
        let from = (self.setup.bot_user.clone(), Some(self.setup.bot.clone()));
        self.add(from, channel, draft, now)
    }

    fn add(
        &mut self,
        from: (String, Option<String>),
        channel: &str,
        mut draft: Draft,
        now: Millis,
    ) -> Result<String, Slip> {
        if !self.channels.contains_key(channel) {
            return Err(Slip::new("channel_not_found"));
        }
        let ts = self.ts(now);
        self.label(&mut draft.blocks);
        let message = Message {
            channel: channel.to_owned(),
            ts: ts.clone(),
            thread_ts: draft.thread,
            user: from.0,
            bot: from.1,
            text: draft.text.chars().take(40_000).collect(),
            blocks: draft.blocks,
            metadata: draft.metadata,
            edits: Vec::new(),
            deleted: false,
        };
        if let Some(found) = self.channels.get_mut(channel) {
            found.messages.push(message);
            found.last_post = Some(now);
        }
        Ok(ts)
    }

    /// `chat.update`: own messages only.
    pub fn update(&mut self, channel: &str, ts: &str, draft: Draft) -> Result<(), Slip> {
        if draft.text.chars().count() > 4_000 {
            return Err(Slip::new("msg_too_long"));
        }
        check::message(&draft.text, &draft.blocks)?;
        let mut blocks = draft.blocks;
        self.label(&mut blocks);
        let bot = self.setup.bot.clone();
        let found = self.channels.get_mut(channel).ok_or_else(|| Slip::new("channel_not_found"))?;
        let message = found.messages.iter_mut().find(|m| m.ts == ts && !m.deleted);
        let message = message.ok_or_else(|| Slip::new("message_not_found"))?;
        if message.bot.as_ref() != Some(&bot) {
            return Err(Slip::new("cant_update_message"));
        }
        let old = (std::mem::replace(&mut message.text, draft.text), std::mem::replace(&mut message.blocks, blocks));
        message.edits.push(old);
        Ok(())
    }

    /// A message for one user, however it came.
    pub fn whisper(&mut self, to: (&str, &str), draft: Draft, via: &str, now: Millis) -> Result<String, Slip> {
        check::message(&draft.text, &draft.blocks)?;
        let found = self.channels.get(to.0).ok_or_else(|| Slip::new("channel_not_found"))?;
        if !found.members.contains(to.1) {
            return Err(Slip::new("user_not_in_channel"));
        }
        if draft.thread.is_some() && !found.messages.iter().any(|m| m.thread_ts == draft.thread && !m.deleted) {
            let what = format!("an ephemeral message in a thread without replies, which nobody sees: {}", draft.text);
            self.violations.push(what);
        }
        let mut blocks = draft.blocks;
        self.label(&mut blocks);
        let ts = self.ts(now);
        self.privates.push(Private {
            channel: to.0.to_owned(),
            user: to.1.to_owned(),
            ts: ts.clone(),
            text: draft.text,
            blocks,
            thread: draft.thread,
            via: via.to_owned(),
        });
        Ok(ts)
    }

    /// A post to a `response_url`.
    pub fn use_hook(&mut self, id: &str, draft: Draft, in_channel: bool, now: Millis) -> Result<(), Slip> {
        let hook = self.hooks.get_mut(id).ok_or_else(|| Slip::new("invalid_url"))?;
        if now.0 - hook.made.0 > HOOK_LIFE_MS {
            return Err(Slip::new("expired_url"));
        }
        if hook.uses >= HOOK_USES {
            return Err(Slip::new("used_url"));
        }
        hook.uses += 1;
        let (channel, user) = (hook.channel.clone(), hook.user.clone());
        if in_channel {
            return self.post(&channel, draft, now).map(|_| ());
        }
        self.whisper((&channel, &user), draft, "response_url", now).map(|_| ())
    }

    /// `views.open`.
    pub fn open(&mut self, trigger: &str, mut view: Value, now: Millis) -> Result<Value, Slip> {
        let found = self.triggers.get_mut(trigger).ok_or_else(|| Slip::new("invalid_trigger_id"))?;
        if found.used {
            return Err(Slip::new("exchanged_trigger_id"));
        }
        if now.0 - found.made.0 > TRIGGER_LIFE_MS {
            return Err(Slip::new("expired_trigger_id"));
        }
        check::view(&view)?;
        found.used = true;
        let user = found.user.clone();
        let id = self.id("V");
        if let Some(blocks) = view["blocks"].as_array_mut() {
            self.label(blocks);
        }
        let setup = &self.setup;
        view["id"] = id.clone().into();
        view["team_id"] = setup.team.clone().into();
        view["app_id"] = setup.app.clone().into();
        view["bot_id"] = setup.bot.clone().into();
        view["root_view_id"] = id.clone().into();
        view["previous_view_id"] = Value::Null;
        view["hash"] = format!("{}.{}", now.0, &id[1..]).into();
        view["state"] = json!({"values": {}});
        self.views.push(View { id, user, view: view.clone(), open: true });
        Ok(view)
    }

    /// The fault to play for this call, if any.
    pub fn fault(&mut self, method: &str) -> Option<Fault> {
        let next = self.next_faults.get_mut(method).and_then(VecDeque::pop_front);
        next.or_else(|| self.faults.get(method).cloned())
    }

    /// Slack names blocks that came without a name.
    fn label(&mut self, blocks: &mut [Value]) {
        for block in blocks {
            if block.get("block_id").is_none() {
                block["block_id"] = self.id("b").to_lowercase().into();
            }
        }
    }
}
