//! The history of one topic: bounded by number, by bytes and by age.
//!
//! Two lifetimes: the publications go some time after the last one, the count of them (top and epoch)
//! stays longer. A client that comes back between the two learns that it has missed something; one that
//! comes back after both finds another epoch, which tells it the same. A stream in which nothing was said has
//! none: it is the same whenever it is made (see [`super::epochs`]).
//!
//! Times are those of the caller's clock, in milliseconds.

use std::collections::VecDeque;
use std::sync::Arc;

use chatsdk_types::Millis;

use crate::broker::Kept;
use crate::broker::memory::budget::Account;
use crate::broker::memory::epochs::Place;
use crate::broker::publication::{Position, Publication};

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Stream {
    epoch: Arc<str>,
    /// Where it has begun.
    place: Place,
    top: u64,
    items: VecDeque<Arc<Publication>>,
    /// When the newest publication was made, or the last one given up, by the wall clock.
    used_at: Millis,
    /// What the items take up.
    bytes: usize,
    /// What its topic takes up, if that is there for the stream alone.
    around: usize,
    /// Where both are accounted for.
    account: Arc<Account>,
    /// When the publications go.
    items_until: u64,
    /// When the count goes.
    count_until: u64,
}

/// How much a stream keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Publications.
    pub(crate) size: usize,
    /// What they take up, in bytes.
    pub(crate) bytes: usize,
    /// Milliseconds from the last publication until all of them go.
    pub(crate) ttl: u64,
    /// Milliseconds from the last use until the count goes, too.
    pub(crate) count_ttl: u64,
}

/// A question about the past.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range<'a> {
    /// Exclusive: an offset and its epoch, which may be empty for "whichever"; `None`: from the end
    /// that the direction begins at.
    pub since: Option<(u64, &'a str)>,
    /// At most so many; `None`: all.
    pub limit: Option<usize>,
    /// From newer to older.
    pub reverse: bool,
}

impl Stream {
    pub(crate) fn new(place: Place, account: Arc<Account>) -> Self {
        Self {
            epoch: place.epoch(),
            place,
            top: 0,
            items: VecDeque::new(),
            used_at: 0,
            bytes: 0,
            around: 0,
            account,
            items_until: u64::MAX,
            count_until: u64::MAX,
        }
    }

    /// Whether nothing was ever said in it.
    pub(crate) fn is_new(&self) -> bool {
        self.top == 0
    }

    /// Whether there are no publications, or no more.
    pub(crate) fn is_bare(&self) -> bool {
        self.items.is_empty()
    }

    /// Notes how many bytes its topic takes up, if that is there for the stream alone.
    pub(crate) fn account_for(&mut self, around: usize) {
        // At each publication it is what it was: the account is shared by all topics.
        if around != self.around {
            self.account.add(around);
            self.account
                .subtract(std::mem::replace(&mut self.around, around));
        }
    }

    /// The position of the newest publication.
    pub(crate) fn top(&self) -> Position {
        Position {
            offset: self.top,
            epoch: Arc::clone(&self.epoch),
        }
    }

    /// Gives `publication` its place.
    pub(crate) fn append(
        &mut self,
        mut publication: Publication,
        bounds: Bounds,
        now: u64,
    ) -> Arc<Publication> {
        self.tidy(now);
        self.top += 1;
        publication.offset = self.top;
        self.used_at = publication.time;
        let publication = Arc::new(publication);
        let size = weight(&publication);
        self.bytes += size;
        self.account.add(size);
        self.items.push_back(Arc::clone(&publication));
        while self.items.len() > bounds.size.max(1)
            || (self.items.len() > 1 && self.bytes > bounds.bytes)
        {
            self.let_go();
        }
        self.items_until = now.saturating_add(bounds.ttl);
        self.count_until = now.saturating_add(bounds.count_ttl.max(bounds.ttl));
        publication
    }

    /// Notes that the count is still of use to somebody.
    pub(crate) fn keep(&mut self, bounds: Bounds, now: u64) {
        self.count_until = self.count_until.max(now.saturating_add(bounds.count_ttl));
    }

    /// Keeps the count for an hour more: somebody counts along.
    pub(crate) fn keep_on(&mut self, now: u64) {
        self.count_until = self.count_until.max(now.saturating_add(3_600_000));
    }

    /// Lets all publications go.
    pub(crate) fn clear(&mut self) {
        self.items = VecDeque::new();
        self.account.subtract(std::mem::take(&mut self.bytes));
        self.items_until = u64::MAX;
    }

    /// When the oldest publication that is still there was made, by the wall clock; if there is none any more, when
    /// the newest one was, or the last one given up.
    pub(crate) fn since(&self) -> Millis {
        let oldest = self.items.front();
        oldest.map_or(self.used_at, |publication| publication.time)
    }

    /// Gives the oldest publication up for others, at `now` by the wall clock. The count stays for as long again: it
    /// is small, and who is at its end has missed nothing.
    pub(crate) fn give_up(&mut self, now: Millis) {
        self.let_go();
        if self.is_bare() {
            self.used_at = self.used_at.max(now);
        }
    }

    /// Lets the oldest publication go.
    fn let_go(&mut self) {
        if let Some(publication) = self.items.pop_front() {
            let size = weight(&publication);
            self.bytes -= size;
            self.account.subtract(size);
        }
        if self.items.is_empty() {
            self.clear();
        }
    }

    /// Where its bytes are accounted for.
    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Lets go what is too old; `false` when that is everything.
    pub(crate) fn tidy(&mut self, now: u64) -> bool {
        if now >= self.items_until {
            self.clear();
        }
        now < self.count_until
    }

    /// When [`Stream::tidy`] finds something to do next.
    pub(crate) fn next_tidy(&self) -> u64 {
        self.items_until.min(self.count_until)
    }

    /// Where it stands, and what is in `range`.
    pub(crate) fn kept(&mut self, range: Range<'_>, now: u64) -> Kept {
        Kept {
            publications: self.read(range, now),
            top: self.top(),
        }
    }

    /// The publications in `range`; `None` when it begins at a position that is not ours or whose
    /// successor was let go.
    fn read(&mut self, range: Range<'_>, now: u64) -> Option<Vec<Arc<Publication>>> {
        self.tidy(now);
        let limit = range.limit.unwrap_or(usize::MAX);
        let first = self.first();
        let (from, to) = match range.since {
            None => (0, self.items.len()),
            Some((_, epoch)) if !epoch.is_empty() && *epoch != *self.epoch => return None,
            Some((offset, _)) if range.reverse => (
                0,
                offset.saturating_sub(first).min(self.items.len() as u64) as usize,
            ),
            Some((offset, _)) if offset > self.top || offset + 1 < first => return None,
            Some((offset, _)) => ((offset + 1 - first) as usize, self.items.len()),
        };
        let from = from.min(to);
        let range_of = self.items.range(from..to);
        Some(if range.reverse {
            range_of.rev().take(limit).map(Arc::clone).collect()
        } else {
            range_of.take(limit).map(Arc::clone).collect()
        })
    }

    /// The offset of the oldest publication that is still there, or would be.
    fn first(&self) -> u64 {
        self.top + 1 - self.items.len() as u64
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.account.subtract(self.bytes + self.around);
        if !self.is_new() {
            self.place.forget();
        }
    }
}

/// What a publication takes up in memory, in bytes: about.
fn weight(publication: &Publication) -> usize {
    /// The publication itself, its count of owners, its place in the stream.
    const OWN: usize = size_of::<Publication>() + 64;
    let tags = publication.tags.iter().flat_map(|tags| tags.iter());
    let tags: usize = tags.map(|(name, tag)| name.len() + tag.len() + 64).sum();
    // It may be the last to hold what is known of its publisher, who has left.
    let info = publication.info.as_ref().map_or(0, |info| {
        let payloads = info.conn_info.bytes().len() + info.chan_info.bytes().len();
        info.user.len() + info.client.len() + payloads
    });
    OWN + publication.data.bytes().len() + tags + info
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::TopicName;
    use crate::broker::memory::epochs::Epochs;
    use chatsdk_protocol::{ClientInfo, Payload};

    const BOUNDS: Bounds = Bounds {
        size: 3,
        bytes: usize::MAX,
        ttl: 1000,
        count_ttl: 5000,
    };

    fn place() -> Place {
        let topic = TopicName {
            app: "app",
            channel: "t",
        };
        Arc::new(Epochs::new("one")).place(topic)
    }

    fn stream(count: u64) -> Stream {
        let mut stream = Stream::new(place(), Arc::default());
        for _ in 0..count {
            let publication = Publication {
                data: Payload::new("1"),
                ..Publication::default()
            };
            stream.append(publication, BOUNDS, 0);
        }
        stream
    }

    fn offsets(read: Option<Vec<Arc<Publication>>>) -> Option<Vec<u64>> {
        read.map(|read| read.iter().map(|publication| publication.offset).collect())
    }

    fn read(stream: &mut Stream, since: Option<(u64, &str)>, limit: usize) -> Option<Vec<u64>> {
        let range = Range {
            since,
            limit: Some(limit),
            reverse: false,
        };
        offsets(stream.read(range, 0))
    }

    #[test]
    fn it_keeps_the_newest_and_counts_all() {
        let mut stream = stream(5);
        assert_eq!(stream.top().offset, 5);
        assert_eq!(read(&mut stream, None, 9), Some(vec![3, 4, 5]));
        assert_eq!(read(&mut stream, None, 2), Some(vec![3, 4]));
        assert_eq!(read(&mut stream, Some((3, "one")), 9), Some(vec![4, 5]));
        assert_eq!(read(&mut stream, Some((2, "one")), 9), Some(vec![3, 4, 5]));
        assert_eq!(read(&mut stream, Some((1, "one")), 9), None, "2 is gone");
        assert_eq!(read(&mut stream, Some((5, "one")), 9), Some(vec![]));
        assert_eq!(read(&mut stream, Some((6, "one")), 9), None, "not yet");
        assert_eq!(read(&mut stream, Some((5, "two")), 9), None);
        assert_eq!(read(&mut stream, Some((4, "")), 9), Some(vec![5]));
        assert_eq!(
            read(&mut stream, Some((u64::MAX, "one")), 9),
            None,
            "a liar"
        );
    }

    #[test]
    fn it_keeps_within_its_bytes_but_always_the_newest() {
        let one = weight(&Publication {
            data: Payload::new("1"),
            ..Publication::default()
        });
        for (bytes, kept) in [
            (0, vec![5]),
            (2 * one, vec![4, 5]),
            (3 * one - 1, vec![4, 5]),
        ] {
            let bounds = Bounds { bytes, ..BOUNDS };
            let mut stream = stream(4);
            let publication = Publication {
                data: Payload::new("1"),
                ..Publication::default()
            };
            stream.append(publication, bounds, 0);
            assert_eq!(read(&mut stream, None, 9), Some(kept));
        }
    }

    #[test]
    fn it_reads_backwards() {
        let mut stream = stream(5);
        let mut back = |since, limit| {
            let range = Range {
                since,
                limit,
                reverse: true,
            };
            offsets(stream.read(range, 0))
        };
        assert_eq!(back(None, None), Some(vec![5, 4, 3]));
        assert_eq!(back(None, Some(1)), Some(vec![5]));
        assert_eq!(back(Some((5, "one")), None), Some(vec![4, 3]));
        assert_eq!(back(Some((3, "one")), None), Some(vec![]));
        assert_eq!(back(Some((99, "one")), None), Some(vec![5, 4, 3]));
    }

    #[test]
    fn publications_go_before_their_count() {
        let mut stream = stream(2);
        assert_eq!(stream.next_tidy(), 1000);
        assert!(stream.tidy(999));
        assert_eq!(read(&mut stream, None, 9), Some(vec![1, 2]));
        assert!(stream.tidy(1000));
        assert_eq!(stream.top().offset, 2, "the count stays");
        assert_eq!(read(&mut stream, Some((1, "one")), 9), None);
        assert_eq!(read(&mut stream, Some((2, "one")), 9), Some(vec![]));
        assert_eq!(stream.next_tidy(), 5000);
        assert!(stream.tidy(4999));
        assert!(!stream.tidy(5000));
        stream.keep(BOUNDS, 4000);
        assert!(stream.tidy(5000));
    }

    #[test]
    fn nothing_is_the_same_at_any_time_until_something_is_forgotten() {
        let place = place();
        let mut epochs = Vec::new();
        for said in [0, 0, 2, 0, 1] {
            let mut stream = Stream::new(place.clone(), Arc::default());
            assert_eq!(stream.next_tidy(), u64::MAX);
            stream.keep(BOUNDS, 500);
            assert!(stream.tidy(u64::MAX - 1));
            for _ in 0..said {
                stream.append(Publication::default(), BOUNDS, 0);
            }
            epochs.push(stream.top().epoch);
        }
        let [first, again, counted, after, at_last] = &epochs[..] else {
            panic!("five");
        };
        assert!(first == again && again == counted);
        assert!(after != counted && at_last == after);
    }

    #[test]
    fn what_it_takes_up_is_accounted_for() {
        let account = Arc::<Account>::default();
        let mut stream = Stream::new(place(), Arc::clone(&account));
        stream.append(Publication::default(), BOUNDS, 0);
        let one = account.bytes();
        stream.account_for(100);
        stream.account_for(70);
        assert_eq!(account.bytes(), one + 70);
        stream.clear();
        assert_eq!(account.bytes(), 70);
        drop(stream);
        assert_eq!(account.bytes(), 0);
    }

    #[test]
    fn all_of_a_publication_has_weight() {
        let bare = weight(&Publication::default());
        let known = ClientInfo {
            user: "ann".into(),
            client: "client".into(),
            conn_info: Payload::new("{\"a\":1}"),
            chan_info: Payload::new("{}"),
        };
        let publication = Publication {
            data: Payload::new("12345"),
            info: Some(Arc::new(known)),
            tags: Some(Arc::new([("a".into(), "b".into())].into())),
            ..Publication::default()
        };
        assert_eq!(weight(&publication) - bare, 5 + 3 + 6 + 7 + 2 + 2 + 64);
    }
}
