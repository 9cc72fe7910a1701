//! The file beside the store. Takes treated output; keeps all of it up to a cap, and beyond that says
//! how much is missing before the end. A disk that is full costs the file, not the step.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// Most bytes in a file, its end and the note about the gap included.
const CAP: u64 = 64 << 20;
/// Kept free for the end; escapes make text longer than its bytes.
const END: u64 = 1 << 20;

/// A disk that takes longer has failed: the outcome of a step does not wait for it.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Keep {
    file: Option<File>,
    /// If there is such a file, whole or not.
    path: Option<String>,
    room: u64,
    fault: Option<String>,
}

impl Keep {
    /// Opens the execution's file for adding to it; only we may read it.
    pub async fn open(folder: &Path, execution: &str) -> Keep {
        let path = folder.join(format!("{execution}.txt"));
        let opened = async {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).await?;
            let had = file.metadata().await?.len();
            io::Result::Ok((file, had))
        };
        let (file, had, fault) = match soon(opened).await {
            Ok((file, had)) => (Some(file), had, None),
            Err(e) => (None, 0, Some(format!("the output is not kept: {e}"))),
        };
        let file_path = file.is_some().then(|| path.to_string_lossy().into_owned());
        Keep { file, path: file_path, room: (CAP - END).saturating_sub(had), fault }
    }

    /// Whether nothing but the end will be kept.
    pub fn full(&self) -> bool {
        self.room == 0
    }

    /// Adds a piece. The last one may go into what was kept free.
    pub async fn add(&mut self, text: &[u8]) {
        self.room = self.room.saturating_sub(text.len() as u64);
        let Some(file) = &mut self.file else { return };
        if let Err(e) = soon(file.write_all(text)).await {
            self.fault = Some(format!("the output is not kept any further: {e}"));
            self.file = None;
        }
    }

    /// Says how much is missing here.
    pub async fn gap(&mut self, bytes: u64) {
        self.add(format!("\n[{bytes} bytes not kept]\n").as_bytes()).await;
    }

    /// The file's path, if there is one, and what went wrong.
    pub async fn close(&mut self) -> (Option<String>, Option<String>) {
        if let Some(file) = &mut self.file
            && let Err(e) = soon(file.flush()).await
        {
            self.fault = Some(format!("the end of the output is not kept: {e}"));
        }
        (self.path.take(), self.fault.take())
    }
}

async fn soon<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer")))
}
