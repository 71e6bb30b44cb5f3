//! Named places at which a test lets this process die, so that what it leaves behind can be looked at and taken up again.
//!
//! Without the feature `failpoints` every call is nothing. With it, `SPECWAVE_FAILPOINTS="claim.after_commit=3,unit.after_effect=1:stop"`
//! makes the process kill itself when it comes to the first place for the third time (SIGKILL: nothing is flushed, no destructor runs), and
//! stop itself, until somebody continues it, the first time that it comes to the second.

/// Every place there is.
pub const POINTS: [&str; 10] = [
    "claim.before_commit",
    "claim.after_commit",
    "unit.working",
    "unit.after_effect",
    "advance.inside",
    "settle.after_commit",
    "projection.apply",
    "deploy.between_renames",
    "wave.after_reopen",
    "lease.expired",
];

/// Says that this place is reached.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit(_point: &'static str) {}

/// Says that this place is reached. Panics when the variable cannot be read, for a mistake in it would be a test that cannot fail.
#[cfg(feature = "failpoints")]
pub fn hit(point: &'static str) {
    static ARMED: std::sync::Once = std::sync::Once::new();
    ARMED.call_once(|| armed::arm(&std::env::var("SPECWAVE_FAILPOINTS").unwrap_or_default()));
    fail::fail_point!(point);
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    /// Until then a signal that was taken has stopped every thread.
    const TAKES_EFFECT: Duration = Duration::from_millis(200);
    /// How often one looks whether it was taken.
    const LOOK_EVERY: Duration = Duration::from_millis(1);

    /// What happens, and the how many-th time.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Armed {
        point: &'static str,
        hit: u32,
        signal: Signal,
    }

    pub(super) fn arm(text: &str) {
        for armed in parse(text) {
            let hits = AtomicU32::new(0);
            let reached = move || {
                if hits.fetch_add(1, Ordering::Relaxed) + 1 == armed.hit {
                    kill_process(getpid(), armed.signal).expect("a process may signal itself");
                    // Another thread may be the one that takes the signal, once the disk has answered it: this one goes no further meanwhile.
                    while pending(armed.signal) {
                        std::thread::sleep(LOOK_EVERY);
                    }
                    std::thread::sleep(TAKES_EFFECT);
                }
            };
            fail::cfg_callback(armed.point, reached).expect("a callback needs no parsing");
        }
    }

    /// True while no thread of this process has taken the signal.
    fn pending(signal: Signal) -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let signals = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        let signals = signals.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        signals >> (signal.as_raw() - 1) & 1 == 1
    }

    fn parse(text: &str) -> Vec<Armed> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(|part| one(part).unwrap_or_else(|| panic!("SPECWAVE_FAILPOINTS: `{part}` is not POINT=N or POINT=N:stop"))).collect()
    }

    fn one(part: &str) -> Option<Armed> {
        let (name, hit) = part.split_once('=')?;
        let (hit, signal) = match hit.strip_suffix(":stop") {
            Some(hit) => (hit, Signal::STOP),
            None => (hit, Signal::KILL),
        };
        let point = super::POINTS.into_iter().find(|point| *point == name)?;
        Some(Armed { point, hit: hit.parse().ok().filter(|hit| *hit > 0)?, signal })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_place_is_named_with_the_hit_at_which_something_happens() {
            let expect = [
                Armed { point: "unit.working", hit: 3, signal: Signal::KILL },
                Armed { point: "lease.expired", hit: 1, signal: Signal::STOP },
            ];
            assert_eq!(parse("unit.working=3, lease.expired=1:stop,"), expect);
            assert_eq!(parse(""), []);
            for wrong in ["unit.working", "unit.working=0", "unit.working=x", "nowhere=1", "unit.working=1:pause"] {
                assert_eq!(one(wrong), None, "{wrong}");
            }
        }
    }
}
