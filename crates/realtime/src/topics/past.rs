//! What a new subscriber is told of the past.

use std::sync::Arc;

use crate::broker::Kept;
use crate::broker::memory::stream::Range;
use crate::broker::publication::{Position, Publication};
use crate::topics::options::Recovery;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// Where the topic stands; `None` unless offsets matter to the subscriber.
    pub(crate) top: Option<Position>,
    /// What it missed, oldest first.
    pub(crate) missed: Vec<Arc<Publication>>,
    /// Whether that is all of it.
    pub(crate) recovered: bool,
}

impl Past {
    /// What to read of a topic for a subscriber that was at `since`, if it wants to go on there, and may be
    /// sent `most` publications.
    pub(crate) fn range(since: Option<(u64, &str)>, recovery: Recovery, most: usize) -> Range<'_> {
        let cache = recovery == Recovery::Cache;
        Range {
            since: since.filter(|_| !cache),
            limit: Some(match since {
                None => 0,
                Some(_) if cache => 1,
                // One more than can be sent shows that there is more.
                Some(_) => most.saturating_add(1),
            }),
            reverse: cache,
        }
    }

    /// What the subscriber is told, now that it was read.
    pub(crate) fn new(
        since: Option<(u64, &str)>,
        recovery: Recovery,
        most: usize,
        kept: Kept,
    ) -> Self {
        let Kept { top, publications } = kept;
        let mut past = Self::default();
        let mut reached = top.offset;
        if let Some((offset, epoch)) = since {
            let up_to_date = offset == top.offset && *epoch == *top.epoch;
            match (recovery, publications) {
                (Recovery::Cache, publications) => {
                    let newest = publications.unwrap_or_default().pop();
                    past.recovered = up_to_date
                        || newest
                            .as_ref()
                            .is_some_and(|newest| newest.offset == top.offset);
                    if past.recovered && !up_to_date {
                        past.missed.extend(newest);
                    }
                }
                (Recovery::Stream, Some(missed)) if missed.len() <= most => {
                    past.recovered = true;
                    // Events that came since are kept, and go on from the last one that the reply holds.
                    reached = missed
                        .last()
                        .map_or(reached, |last| last.offset.max(reached));
                    past.missed = missed;
                }
                (Recovery::Stream, _) => {}
            }
        }
        past.top = Some(Position {
            offset: reached,
            epoch: top.epoch,
        });
        past
    }
}
