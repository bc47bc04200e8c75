//! Chromium over the DevTools protocol: started once per scenario, with one tab for each run of a
//! probe.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chromiumoxide::{
    Browser, BrowserConfig, Page as Tab,
    cdp::{
        browser_protocol::network::{
            EnableParams, EventLoadingFailed, EventLoadingFinished, EventRequestWillBeSent,
            EventResponseReceived,
        },
        js_protocol::runtime::EvaluateParams,
    },
    error::CdpError,
    page::ScreenshotParams,
};
use futures::{Stream, StreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    errors::{Classified, ErrorClass},
    timeouts::timeouts,
};

/// Names under which distributions install Chromium.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// An error that prevents calls by the browser; it says nothing about the mesh.
#[derive(Debug, thiserror::Error)]
pub enum ChromeError {
    #[error("Chromium not found in PATH; on Debian: apt-get install chromium")]
    Missing,
    #[error("Chromium does not start")]
    Start(#[source] CdpError),
    #[error("Chromium failed")]
    Tab(#[source] CdpError),
    /// Text of a command's builder: a parameter is missing.
    #[error("{0}")]
    Command(String),
    #[error("cannot parse the page's results")]
    Answer(#[from] serde_json::Error),
    #[error("Chromium reported {reported} of {expected} requests")]
    Requests { reported: usize, expected: usize },
}

impl Classified for ChromeError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Missing | Self::Start(_) => ErrorClass::Machine,
            Self::Tab(_) | Self::Command(_) | Self::Answer(_) | Self::Requests { .. } => {
                ErrorClass::Harness
            }
        }
    }
}

/// A running browser.
pub struct Chrome {
    browser: Browser,
    events: JoinHandle<()>,
    profile: PathBuf,
}

/// The page's result of one call.
#[derive(Debug, Clone, Deserialize)]
pub struct PageCall {
    /// gRPC status as the client library reports it.
    pub code: u32,
    pub message: String,
    /// Metadata that the client library exposes.
    pub headers: Vec<(String, String)>,
    pub trailers: Vec<(String, String)>,
    pub replies: Vec<Value>,
    /// Duration in microseconds.
    pub us: u64,
}

/// The browser's record of one request of the page.
#[derive(Debug, Clone, Default)]
pub struct Fetched {
    pub http_status: Option<u16>,
    /// DevTools' name of the CORS rule by which the browser blocked the response or the request.
    pub refused: Option<String>,
    ended: bool,
}

/// The results of one tab.
#[derive(Debug)]
pub struct Ran {
    /// Each call with its request.
    pub calls: Vec<(PageCall, Fetched)>,
    /// A screenshot of the page at the end (PNG).
    pub picture: Vec<u8>,
}

/// Finds Chromium in PATH.
///
/// # Errors
/// [`ChromeError::Missing`].
pub fn executable() -> Result<PathBuf, ChromeError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let candidates = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or(ChromeError::Missing)
}

impl Chrome {
    /// Starts Chromium with a new profile. `rules` are Chromium's host resolver rules.
    ///
    /// # Errors
    /// [`ChromeError::Start`].
    pub async fn start(
        executable: &Path,
        profile: PathBuf,
        rules: &str,
    ) -> Result<Self, ChromeError> {
        let limits = timeouts().browser;
        let mut config = BrowserConfig::builder()
            .chrome_executable(executable)
            .user_data_dir(&profile)
            .new_headless_mode()
            .disable_https_first()
            .window_size(900, 420)
            .viewport(None)
            .launch_timeout(limits.start)
            .request_timeout(limits.calls)
            .arg(("host-resolver-rules", rules))
            .arg("disable-background-networking")
            .arg("disable-component-update")
            .arg("disable-gpu");
        // Chromium's sandbox does not work as root.
        if nix::unistd::geteuid().is_root() {
            config = config.no_sandbox();
        }
        let config = config.build().map_err(ChromeError::Command)?;
        let launched = Browser::launch(config).await;
        let (browser, mut handler) = launched.map_err(ChromeError::Start)?;
        let events = tokio::spawn(async move { while handler.next().await.is_some() {} });
        Ok(Self {
            browser,
            events,
            profile,
        })
    }

    /// Loads the page from `origin` and lets it send the calls of `plan` to `base`.
    ///
    /// # Errors
    /// [`ChromeError`]: the browser or the page failed, which says nothing about the mesh.
    pub async fn run(&self, origin: &str, base: &str, plan: &Value) -> Result<Ran, ChromeError> {
        let failed = ChromeError::Tab;
        let tab = self.browser.new_page("about:blank").await.map_err(failed)?;
        tab.execute(EnableParams::default()).await.map_err(failed)?;
        let mut network = network(&tab, base).await.map_err(failed)?;
        tab.goto(origin).await.map_err(failed)?;
        let call = EvaluateParams::builder()
            .expression(format!("meshproof({plan})"))
            .await_promise(true)
            .return_by_value(true)
            .build()
            .map_err(ChromeError::Command)?;
        let result = tab.evaluate_expression(call).await.map_err(failed)?;
        let calls: Vec<PageCall> = result.into_value()?;
        let fetched = fetches(&mut network, calls.len()).await?;
        let picture = tab
            .screenshot(ScreenshotParams::builder().build())
            .await
            .map_err(failed)?;
        tab.close().await.map_err(failed)?;
        Ok(Ran {
            calls: calls.into_iter().zip(fetched).collect(),
            picture,
        })
    }

    /// Stops the browser and removes its profile.
    pub async fn close(mut self) {
        let asked = timeout(timeouts().browser.close, async {
            self.browser.close().await.ok()?;
            self.browser.wait().await.ok()
        });
        if asked.await.ok().flatten().is_none() {
            let _ = self.browser.kill().await;
        }
    }
}

/// A browser that was not closed is killed with its handle; its profile is removed in any case.
impl Drop for Chrome {
    fn drop(&mut self) {
        self.events.abort();
        if let Err(error) = std::fs::remove_dir_all(&self.profile) {
            tracing::debug!(profile = %self.profile.display(), %error, "cannot remove the browser's profile");
        }
    }
}

/// A network event of a request, with DevTools' request id.
enum News {
    Sent(String),
    Answered(String, u16),
    Ended(String, Option<String>),
}

/// Network events of the page's own requests; preflights, which the browser sends by itself, are
/// excluded by their method.
async fn network(
    tab: &Tab,
    base: &str,
) -> chromiumoxide::error::Result<impl Stream<Item = News> + Unpin + use<>> {
    let base = base.to_owned();
    let sent = tab.event_listener::<EventRequestWillBeSent>().await?;
    let sent = sent.filter_map(move |event| {
        let ours = event.request.url.starts_with(&base) && event.request.method == "POST";
        let news = ours.then(|| News::Sent(event.request_id.inner().clone()));
        async move { news }
    });
    let answered = tab.event_listener::<EventResponseReceived>().await?;
    let answered = answered.map(|event| {
        let status = u16::try_from(event.response.status).unwrap_or_default();
        News::Answered(event.request_id.inner().clone(), status)
    });
    let finished = tab.event_listener::<EventLoadingFinished>().await?;
    let finished = finished.map(|event| News::Ended(event.request_id.inner().clone(), None));
    let failed = tab.event_listener::<EventLoadingFailed>().await?;
    let failed = failed.map(|event| {
        let cors = event.cors_error_status.as_ref();
        let refused = cors.map(|status| status.cors_error.as_ref().to_owned());
        News::Ended(event.request_id.inner().clone(), refused)
    });
    let all = [
        sent.boxed(),
        answered.boxed(),
        finished.boxed(),
        failed.boxed(),
    ];
    Ok(futures::stream::select_all(all))
}

/// Waits until `count` requests have ended, and returns them in the order in which they were sent.
async fn fetches(
    network: &mut (impl Stream<Item = News> + Unpin),
    count: usize,
) -> Result<Vec<Fetched>, ChromeError> {
    let (mut order, mut known) = (Vec::new(), BTreeMap::<String, Fetched>::new());
    let ended = |order: &[String], known: &BTreeMap<String, Fetched>| {
        let ended = order
            .iter()
            .filter(|id| known.get(*id).is_some_and(|seen| seen.ended));
        ended.count()
    };
    let gather = async {
        while ended(&order, &known) < count {
            match network.next().await? {
                News::Sent(id) => order.push(id),
                News::Answered(id, status) => {
                    known.entry(id).or_default().http_status = Some(status)
                }
                News::Ended(id, refused) => {
                    let seen = known.entry(id).or_default();
                    (seen.ended, seen.refused) = (true, refused);
                }
            }
        }
        Some(())
    };
    let limit = timeouts().browser.reported;
    let whole = timeout(limit, gather).await.ok().flatten();
    let all = order.iter().take(count);
    let all: Vec<Fetched> = all.filter_map(|id| known.get(id).cloned()).collect();
    match whole {
        Some(()) if all.len() == count => Ok(all),
        _ => Err(ChromeError::Requests {
            reported: all.len(),
            expected: count,
        }),
    }
}
