//! A real object store to test against: moto's server, which checks signatures and rights once it is closed.
//! Its own log says what was asked of it.

use std::fs;
use std::time::Duration;

use drbot::practice::port;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep};

use crate::program::Program;
use crate::support::Folder;

pub const BUCKET: &str = "backups";
/// What moto takes as somebody's key while it is open: it names the service that is meant.
const ANYBODY: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/SERVICE/aws4_request, SignedHeaders=host, Signature=x";
const READS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:ListBucket","s3:GetObject"],"Resource":"*"}]}"#;

const ADDS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:GetObject"],"Resource":"*"}]}"#;

/// Fields drop in order: the program before its folder.
pub struct Moto {
    program: Option<Program>,
    client: reqwest::Client,
    pub port: port::Port,
    pub access: String,
    pub secret: String,
    /// curl's configuration with the key of the backup job: it may add, and read the list.
    pub adds: String,
    folder: Folder,
}

/// curl's configuration with a key of this store.
pub fn curl(access: &str, secret: &str) -> String {
    format!(
        "aws-sigv4 = \"aws:amz:us-east-1:s3\"\nheader = \"x-amz-content-sha256: UNSIGNED-PAYLOAD\"\nuser = \"{access}:{secret}\"\n"
    )
}

fn between(text: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inside = text.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
    inside.unwrap_or_else(|| panic!("no {name} in {text}")).0.to_owned()
}

impl Moto {
    /// A closed store with an empty bucket, and the key of somebody who may list and read it.
    pub async fn start() -> Moto {
        drbot::post::slack::client::install_crypto();
        let (folder, port) = (Folder::new(), port::free().expect("a port"));
        let words = ["-H", "127.0.0.1", "-p", &port.number().to_string()].map(str::to_owned);
        let program = Some(Program::start("moto_server", &words, &folder.0.join("log")));
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let (access, secret, adds) = (String::new(), String::new(), String::new());
        let mut moto = Moto { program, client, port, access, secret, adds, folder };
        let until = Instant::now() + Duration::from_secs(60);
        while moto.client.get(moto.url("/moto-api/")).send().await.is_err() {
            assert!(Instant::now() < until, "moto did not start: {}", moto.log());
            sleep(Duration::from_millis(100)).await;
        }
        (moto.access, moto.secret) = moto.user("drbot", READS).await;
        let (access, secret) = moto.user("job", ADDS).await;
        moto.adds = curl(&access, &secret);
        let made = moto.client.put(moto.url(&format!("/{BUCKET}"))).send().await.expect("an answer");
        assert_eq!(made.status(), 200);
        moto.open(false).await;
        moto
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.number())
    }

    /// Somebody's new key.
    async fn user(&self, name: &str, policy: &str) -> (String, String) {
        self.iam("CreateUser", name, "").await;
        let key = self.iam("CreateAccessKey", name, "").await;
        let policy: String = url::form_urlencoded::byte_serialize(policy.as_bytes()).collect();
        self.iam("PutUserPolicy", name, &format!("&PolicyName=its&PolicyDocument={policy}")).await;
        (between(&key, "AccessKeyId"), between(&key, "SecretAccessKey"))
    }

    async fn iam(&self, action: &str, user: &str, more: &str) -> String {
        let form = format!("Action={action}&UserName={user}&Version=2010-05-08{more}");
        let call = self.client.post(self.url("/")).header("authorization", ANYBODY.replace("SERVICE", "iam"));
        let call = call.header("content-type", "application/x-www-form-urlencoded").body(form);
        call.send().await.expect("an answer").text().await.expect("a text")
    }

    async fn open(&self, open: bool) {
        let free = if open { "inf" } else { "0" };
        let told = self.client.post(self.url("/moto-api/reset-auth")).body(free).send().await.expect("an answer");
        assert_eq!(told.status(), 200);
    }

    fn owner(&self, method: &str, key: &str) -> reqwest::RequestBuilder {
        let call = self.client.request(method.parse().expect("a method"), self.url(&format!("/{BUCKET}/{key}")));
        call.header("authorization", ANYBODY.replace("SERVICE", "s3"))
    }

    /// Puts objects there as their owner would; keys are given as they stand in an address.
    pub async fn put(&self, objects: &[(&str, &[u8])]) {
        self.open(true).await;
        for some in objects.chunks(16) {
            let puts = some.iter().map(|(key, bytes)| self.owner("PUT", key).body(bytes.to_vec()).send());
            for (answer, (key, _)) in join_all(puts).await.into_iter().zip(some) {
                assert_eq!(answer.expect("an answer").status(), 200, "{key}");
            }
        }
        self.open(false).await;
    }

    /// Removes one, likewise.
    pub async fn remove(&self, key: &str) {
        self.open(true).await;
        assert_eq!(self.owner("DELETE", key).send().await.expect("an answer").status(), 204, "{key}");
        self.open(false).await;
    }

    /// Where the objects below a prefix are.
    pub fn address(&self, prefix: &str) -> String {
        self.url(&format!("/{BUCKET}/{prefix}"))
    }

    /// The target for the bot's configuration, below this prefix.
    pub fn target(&self, prefix: &str) -> String {
        format!(
            "backup-store: {{ base: \"http://127.0.0.1:{}/\", allow_private: true, s3: {{ bucket: {BUCKET}, region: us-east-1, prefix: {prefix}, access_key: {}, secret_key: \"{}\" }} }}",
            self.port.number(),
            self.access,
            self.secret
        )
    }

    /// Every request it got, as it writes them down.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }

    /// It goes away.
    pub fn stop(&mut self) {
        self.program = None;
    }
}
