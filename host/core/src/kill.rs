//! Kill points: named places at which a chaos build dies when it is told to. Invariant: without the feature `chaos` every
//! function here is empty and nothing can be armed; with it, dying is [`std::process::abort`]: no destructor runs, no answer is
//! sent, nothing is flushed.
//!
//! `PAYHOST_KILL=POINT@OPERATION` arms one point for one operation (`complete`, `cancel`, `undo`, `inquire`, `webhook`,
//! `notice`, for K20 `migrate` or `checkpoint`); `POINT@OPERATION:N` lets it be passed N - 1 times before. The lists are
//! [`POINTS`] and [`MESSAGE_POINTS`]; `cargo xtask
//! chaos` kills at each of them.

/// Where the process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// K1
    Accepted,
    /// K2
    BeforeT1,
    /// K3
    InT1Commit,
    /// K4
    AfterT1,
    /// K5
    PluginEntered,
    /// K6
    BeforeConnect,
    /// K7
    AfterConnect,
    /// K8
    AfterRequest,
    /// K9
    GatewayAnswers,
    /// K10
    MidResponse,
    /// K11
    AfterResponse,
    /// K12
    PluginReturned,
    /// K13
    BeforeT2,
    /// K14
    InT2Commit,
    /// K15
    AfterT2,
    /// K16
    DeliveryClaimed,
    /// K17
    WebhookSent,
    /// K18
    NoticeStored,
    /// K19
    NoticeAnswered,
    /// K21
    NoticeVerified,
    /// K20
    Upkeep,
}

/// A line of the list: the point, its number in the test plan, its name in `PAYHOST_KILL`, and what has happened by then.
pub type Line = (Point, &'static str, &'static str, &'static str);

/// Every point that a payment passes, in that order.
pub const POINTS: &[Line] = &[
    (Point::Accepted, "K1", "accepted", "the request was read; nothing was done"),
    (Point::BeforeT1, "K2", "before-t1", "everything was looked up; nothing was written"),
    (Point::InT1Commit, "K3", "in-t1-commit", "at some moment of the first commit (0 to 4 ms into it)"),
    (Point::AfterT1, "K4", "after-t1", "attempt and job are on disk; the plugin was not called"),
    (Point::PluginEntered, "K5", "plugin-entered", "the plugin is about to run"),
    (Point::BeforeConnect, "K6", "before-connect", "the plugin asked for its request; no connection yet"),
    (Point::AfterConnect, "K7", "after-connect", "TLS stands; no byte of the request was sent"),
    (
        Point::AfterRequest,
        "K8",
        "after-request",
        "the request was sent (1 ms ago); the gateway may be at work",
    ),
    (Point::GatewayAnswers, "K9", "gateway-answers", "the gateway has booked it; the answer's head is here"),
    (Point::MidResponse, "K10", "mid-response", "a part of the answer's body is here"),
    (Point::AfterResponse, "K11", "after-response", "the whole answer is here; the plugin has not seen it"),
    (Point::PluginReturned, "K12", "plugin-returned", "the plugin said what it came to"),
    (Point::BeforeT2, "K13", "before-t2", "the outcome was judged; nothing of it is on disk"),
    (Point::InT2Commit, "K14", "in-t2-commit", "at some moment of the second commit (0 to 4 ms into it)"),
    (Point::AfterT2, "K15", "after-t2", "the outcome is on disk; the caller was not answered"),
    (Point::Upkeep, "K20", "upkeep", "at some moment of a migration, or of the checkpoint at a graceful end"),
];

/// The points that webhooks and notices pass.
pub const MESSAGE_POINTS: &[Line] = &[
    (
        Point::DeliveryClaimed,
        "K16",
        "delivery-claimed",
        "an event is out of the outbox and claimed; it was not sent",
    ),
    (Point::WebhookSent, "K17", "webhook-sent", "the receiver answered an event; that is not on disk"),
    (Point::NoticeStored, "K18", "notice-stored", "a notice is on disk; the gateway was not answered"),
    (
        Point::NoticeAnswered,
        "K19",
        "notice-answered",
        "a notice's answer is on disk; nothing of it was verified",
    ),
    (
        Point::NoticeVerified,
        "K21",
        "notice-verified",
        "the gateway confirmed a notice; its facts are not on disk",
    ),
];

pub use imp::{armed, at, entered, followed, in_commit, mark_commit, soon};

#[cfg(not(feature = "chaos"))]
mod imp {
    use super::Point;

    /// Dies here, if this point is armed for this operation.
    #[inline(always)]
    pub fn at(_: Point, _: &str) {}

    /// Dies within the next milliseconds, if this point is armed for this operation.
    #[inline(always)]
    pub fn soon(_: Point, _: &str) {}

    /// Marks the transaction of this thread: its commit is the point.
    #[inline(always)]
    pub fn mark_commit(_: Point, _: &str) {}

    /// The commit of this thread begins.
    #[inline(always)]
    pub fn in_commit() {}

    /// A plugin is about to run a function: if it is the armed operation, its network is followed.
    #[inline(always)]
    pub fn entered(_: &str) {}

    /// Dies here, if this point is armed and the network is followed.
    #[inline(always)]
    pub fn followed(_: Point) {}

    /// Whether this point is armed for whatever operation.
    #[inline(always)]
    #[must_use]
    pub fn armed(_: Point) -> bool {
        false
    }
}

#[cfg(feature = "chaos")]
mod imp {
    use std::cell::Cell;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::{MESSAGE_POINTS, POINTS, Point};

    struct Armed {
        point: Point,
        operation: String,
        left: AtomicU64,
    }

    static FOLLOWED: AtomicBool = AtomicBool::new(false);

    thread_local! {
        static MARKED: Cell<bool> = const { Cell::new(false) };
    }

    fn here() -> Option<&'static Armed> {
        static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
        let read = || {
            let text = std::env::var("PAYHOST_KILL").ok()?;
            let (name, rest) = text.split_once('@')?;
            let (operation, times) = rest.split_once(':').unwrap_or((rest, "1"));
            let point = POINTS.iter().chain(MESSAGE_POINTS).find(|line| line.2 == name)?.0;
            Some(Armed { point, operation: operation.to_owned(), left: AtomicU64::new(times.parse().ok()?) })
        };
        ARMED.get_or_init(read).as_ref()
    }

    /// Whether this pass is the one.
    fn hit(point: Point, operation: Option<&str>) -> bool {
        here().is_some_and(|armed| {
            armed.point == point
                && operation.is_none_or(|operation| operation == armed.operation)
                && armed.left.fetch_sub(1, SeqCst) == 1
        })
    }

    fn die_soon() {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        let wait = Duration::from_micros(u64::from(nanos / 1000 % 4000));
        std::thread::spawn(move || {
            std::thread::sleep(wait);
            std::process::abort();
        });
    }

    /// Dies here, if this point is armed for this operation.
    pub fn at(point: Point, operation: &str) {
        if hit(point, Some(operation)) {
            std::process::abort();
        }
    }

    /// Dies within the next milliseconds, if this point is armed for this operation.
    pub fn soon(point: Point, operation: &str) {
        if hit(point, Some(operation)) {
            die_soon();
        }
    }

    /// Marks the transaction of this thread: its commit is the point.
    pub fn mark_commit(point: Point, operation: &str) {
        if hit(point, Some(operation)) {
            MARKED.set(true);
        }
    }

    /// The commit of this thread begins.
    pub fn in_commit() {
        if MARKED.get() {
            die_soon();
        }
    }

    /// A plugin is about to run a function: if it is the armed operation, its network is followed.
    pub fn entered(operation: &str) {
        at(Point::PluginEntered, operation);
        if here().is_some_and(|armed| armed.operation == operation) {
            FOLLOWED.store(true, SeqCst);
        }
    }

    /// Dies here, if this point is armed and the network is followed. After the request, its bytes get a moment to leave.
    pub fn followed(point: Point) {
        if !FOLLOWED.load(SeqCst) || !hit(point, None) {
            return;
        }
        if point == Point::AfterRequest {
            std::thread::spawn(|| {
                std::thread::sleep(Duration::from_millis(1));
                std::process::abort();
            });
        } else {
            std::process::abort();
        }
    }

    /// Whether this point is armed for whatever operation.
    #[must_use]
    pub fn armed(point: Point) -> bool {
        here().is_some_and(|armed| armed.point == point)
    }
}
