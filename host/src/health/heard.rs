//! When something was last heard of a watch.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a watch may be silent. One of an API server that is silent is given up within 5 minutes, and begun again.
const SILENCE: Duration = Duration::from_mins(6);

/// When something was last heard of a watch: it was asked for, or something came.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Option<Instant>>);

impl Heard {
    /// Notes that something was heard.
    pub fn note(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// The watch has told all that it was to tell: nothing more is expected.
    pub fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// For how long nothing was heard, if that is too long. Of what nothing was ever heard, nothing is expected.
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|last| now.saturating_duration_since(last)).filter(|silence| *silence > SILENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_heard_of_as_long_as_it_is_asked_for() {
        let (heard, start) = (Heard::default(), Instant::now());
        assert_eq!(heard.silence(start + SILENCE * 2), None, "what is no watch of an API server is never asked for");
        for minutes in [0, 5, 10, 15] {
            heard.note(start + Duration::from_mins(minutes));
            assert_eq!(heard.silence(start + Duration::from_mins(minutes + 5)), None);
        }
        let later = Duration::from_mins(22);
        assert_eq!(heard.silence(start + later), Some(Duration::from_mins(7)));
        heard.note(start + later);
        assert_eq!(heard.silence(start + later), None);
        heard.end();
        assert_eq!(heard.silence(start + later * 2), None);
    }
}
