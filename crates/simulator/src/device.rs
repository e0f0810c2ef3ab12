//! One device, and the platform that its processes run on: clocks, a storage, locks and channels that they
//! share, and a network that leads wherever the world says.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex};

use chatsdk_client::platform::{
    HttpReply, PeerMessage, Platform, Signal, Signals, Storage, StorageFault, Unreachable,
};
use chatsdk_types::Millis;
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};

use crate::lock;
use crate::world::{ProcId, World};

/// A place in a process's life at which it may be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Point {
    /// It is about to read the storage.
    Reading,
    /// It has read the storage, and does not know what yet.
    Read,
    /// It is about to write to the storage, which does not have it yet.
    Saving,
    /// The storage has what it wrote, and it does not know yet.
    Saved,
    /// It waits for a lock.
    Locking,
    /// It has the lock.
    Locked,
    /// A request is about to leave.
    Sending,
    /// A request is on its way, and nothing came back yet.
    Sent,
    /// A reply has come, and nobody looked at it yet.
    Answered,
    /// The host is being told of a pair.
    Telling,
}

/// What a storage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// What it is asked.
    #[default]
    None,
    /// Reads fail.
    Reads,
    /// Writes fail, and so does removing.
    Writes,
    /// Writes fail; what stands there can be removed.
    Full,
    /// Reads and writes fail.
    Both,
    /// Neither is answered.
    Hangs,
    /// Each takes two seconds.
    Slow,
    /// A write takes eight seconds, which is longer than anybody waits for it.
    Late,
    /// The first pair of a session is kept; its successors are not, and nobody is told: no honest storage
    /// does that.
    Lies,
    /// Reads answer what stood there when the process began: no honest storage does that.
    Stale,
}

/// What leads from a device to the server.
pub trait Network: Send + Sync {
    /// Whether the device knows that it is offline.
    fn online(&self) -> bool;
    /// Takes a request of `from`, and sees to a reply.
    fn send(
        &self,
        from: ProcId,
        path: &str,
        authorization: Option<&str>,
        body: &str,
        reply: ReplyTo,
    );
}

/// Where the reply to a request goes. Dropped, the connection broke.
pub type ReplyTo = oneshot::Sender<Result<HttpReply, Unreachable>>;

/// What decides over the life of processes.
pub trait Fate: Send + Sync {
    /// Whether `process` dies at `point`.
    fn dies(&self, process: ProcId, point: Point) -> bool;
    /// How long the storage takes, in ms.
    fn storage_delay(&self) -> Millis;
    /// The storage keeps what `process` gave it.
    fn stored(&self, process: ProcId, text: &str) {
        let _ = (process, text);
    }
    /// It does not.
    fn refused(&self, process: ProcId, text: &str) {
        let _ = (process, text);
    }
    /// It forgets what stood there, as `process` asked it to.
    fn removed(&self, process: ProcId) {
        let _ = process;
    }
}

/// A storage that processes share.
#[derive(Debug, Default)]
pub struct SharedStorage {
    state: Mutex<StorageState>,
}

#[derive(Debug, Default)]
struct StorageState {
    text: Option<String>,
    fault: Fault,
    listeners: Listeners,
}

impl SharedStorage {
    /// What stands there.
    pub fn text(&self) -> Option<String> {
        lock(&self.state).text.clone()
    }

    /// Somebody writes there, and the others are told.
    pub fn write(&self, from: Option<ProcId>, text: Option<String>) {
        let mut state = lock(&self.state);
        state.text = text;
        state.listeners.retain(|(of, listener)| {
            Some(*of) == from || listener.send(Signal::StorageChanged).is_ok()
        });
    }

    /// From now on it does so.
    pub fn set_fault(&self, fault: Fault) {
        lock(&self.state).fault = fault;
    }

    /// What it does.
    pub fn fault(&self) -> Fault {
        lock(&self.state).fault
    }
}

/// The access token in a stored text.
pub fn access_token(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(value["accessToken"].as_str()?.to_owned())
}

/// Whether both texts hold a pair of the same session.
fn is_successor(before: Option<&str>, text: &str) -> bool {
    let session = |text| Some(crate::server::claims(&access_token(text)?)?.0);
    before
        .and_then(session)
        .is_some_and(|before| Some(before) == session(text))
}

type Listeners = Vec<(ProcId, mpsc::UnboundedSender<Signal>)>;

/// What the processes of a device have in common.
pub struct Device {
    /// The world that it is in.
    pub world: Arc<World>,
    /// Where requests go.
    pub network: Arc<dyn Network>,
    /// Who decides who dies.
    pub fate: Arc<dyn Fate>,
    shift: Mutex<Millis>,
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    channels: Mutex<HashMap<String, Listeners>>,
    everybody: Mutex<Listeners>,
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

impl Device {
    /// A device whose wall clock is `shift` ms ahead of true time.
    pub fn new(
        world: Arc<World>,
        network: Arc<dyn Network>,
        fate: Arc<dyn Fate>,
        shift: Millis,
    ) -> Arc<Self> {
        Arc::new(Self {
            world,
            network,
            fate,
            shift: Mutex::new(shift),
            locks: Mutex::default(),
            channels: Mutex::default(),
            everybody: Mutex::default(),
        })
    }

    /// Somebody sets the clock.
    pub fn shift_wall(&self, by: Millis) {
        *lock(&self.shift) += by;
    }

    /// The wall clock.
    pub fn wall(&self) -> Millis {
        self.world.now() + *lock(&self.shift)
    }

    /// Tells every process, or one of them.
    pub fn signal(&self, to: Option<ProcId>, signal: &Signal) {
        lock(&self.everybody).retain(|(of, listener)| {
            to.is_some_and(|to| to != *of) || listener.send(signal.clone()).is_ok()
        });
    }
}

/// What one process of a device has to itself.
#[derive(Debug, Clone)]
pub struct Traits {
    /// The channel that it speaks on; `None`: it has none.
    pub channel: Option<String>,
    /// Whether it has locks. Where there are none the storage takes no time, as `localStorage` does:
    /// between reading and writing nobody else may come.
    pub locks: bool,
    /// Whether it is told when the storage changes.
    pub storage_events: bool,
    /// How long its schedule sleeps at most, in ms.
    pub tick: Millis,
}

/// The platform of one process.
pub struct VirtualPlatform {
    device: Arc<Device>,
    process: ProcId,
    storage: VirtualStorage,
    traits: Traits,
    random: Box<dyn Fn() -> f64 + Send + Sync>,
    visible: Arc<std::sync::atomic::AtomicBool>,
}

/// A storage as one process sees it.
pub struct VirtualStorage {
    device: Arc<Device>,
    process: ProcId,
    shared: Arc<SharedStorage>,
    instant: bool,
    /// What stood there when the process began.
    first: Option<String>,
}

impl VirtualPlatform {
    /// The platform of `process`.
    pub fn new(
        device: Arc<Device>,
        process: ProcId,
        storage: Arc<SharedStorage>,
        traits: Traits,
        random: impl Fn() -> f64 + Send + Sync + 'static,
        visible: Arc<std::sync::atomic::AtomicBool>,
    ) -> Self {
        Self {
            storage: VirtualStorage {
                first: storage.text(),
                device: device.clone(),
                process,
                shared: storage,
                instant: !traits.locks,
            },
            device,
            process,
            traits,
            random: Box::new(random),
            visible,
        }
    }

    /// A place at which the process may be killed.
    pub async fn point(&self, point: Point) {
        at_point(&self.device, self.process, point).await;
    }
}

async fn at_point(device: &Device, process: ProcId, point: Point) {
    if device.fate.dies(process, point) {
        device.world.kill(process);
        pending::<()>().await;
    }
}

impl VirtualStorage {
    /// Waits as long as the storage takes. For ever, where it hangs.
    async fn take_time(&self, writes: bool) {
        let delay = match self.shared.fault() {
            Fault::Hangs => return pending().await,
            Fault::Slow => 2_000,
            Fault::Late if writes => 8_000,
            _ if self.instant => 0,
            _ => self.device.fate.storage_delay(),
        };
        if delay > 0 {
            self.device.world.sleep(delay).await;
        }
    }
}

impl Storage for VirtualStorage {
    async fn get(&self) -> Result<Option<String>, StorageFault> {
        at_point(&self.device, self.process, Point::Reading).await;
        // What stood there when it was asked: others may write before it is told.
        let text = match self.shared.fault() {
            Fault::Reads | Fault::Both => Err(StorageFault("locked".to_owned())),
            Fault::Stale => Ok(self.first.clone()),
            _ => Ok(self.shared.text()),
        };
        self.take_time(false).await;
        at_point(&self.device, self.process, Point::Read).await;
        text
    }

    async fn set(&self, text: String) -> Result<(), StorageFault> {
        self.take_time(true).await;
        at_point(&self.device, self.process, Point::Saving).await;
        match self.shared.fault() {
            Fault::Writes | Fault::Full | Fault::Both => {
                self.device.fate.refused(self.process, &text);
                return Err(StorageFault("full".to_owned()));
            }
            Fault::Lies if is_successor(self.shared.text().as_deref(), &text) => return Ok(()),
            _ => {
                self.device.fate.stored(self.process, &text);
                self.shared.write(Some(self.process), Some(text));
            }
        }
        let delay = if self.instant {
            0
        } else {
            self.device.fate.storage_delay()
        };
        if delay > 0 {
            self.device.world.sleep(delay).await;
        }
        at_point(&self.device, self.process, Point::Saved).await;
        Ok(())
    }

    async fn remove(&self) -> Result<(), StorageFault> {
        self.take_time(true).await;
        match self.shared.fault() {
            Fault::Writes | Fault::Both => Err(StorageFault("read-only".to_owned())),
            _ => {
                self.device.fate.removed(self.process);
                self.shared.write(Some(self.process), None);
                Ok(())
            }
        }
    }
}

/// Signals of one process.
#[derive(Debug)]
pub struct VirtualSignals(mpsc::UnboundedReceiver<Signal>);

impl Signals for VirtualSignals {
    async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            None => pending().await,
        }
    }
}

impl Platform for VirtualPlatform {
    type Storage = VirtualStorage;
    type Guard = Option<OwnedMutexGuard<()>>;
    type Signals = VirtualSignals;

    fn wall(&self) -> Millis {
        self.device.wall()
    }

    fn mono(&self) -> Millis {
        self.device.world.mono()
    }

    fn random(&self) -> f64 {
        (self.random)()
    }

    fn sleep(&self, ms: Millis) -> impl Future<Output = ()> + Send {
        self.device.world.sleep(ms)
    }

    fn tick(&self) -> Millis {
        self.traits.tick
    }

    async fn post(
        &self,
        url: &str,
        authorization: Option<&str>,
        body: String,
    ) -> Result<HttpReply, Unreachable> {
        let path = url.find("/auth/").map_or(url, |at| &url[at..]).to_owned();
        self.point(Point::Sending).await;
        let (reply, answer) = oneshot::channel();
        self.device
            .network
            .send(self.process, &path, authorization, &body, reply);
        self.point(Point::Sent).await;
        let answer = answer
            .await
            .unwrap_or_else(|_| Err(Unreachable("the connection broke".to_owned())));
        self.point(Point::Answered).await;
        answer
    }

    fn storage(&self) -> &VirtualStorage {
        &self.storage
    }

    async fn lock(&self, name: &str) -> Option<OwnedMutexGuard<()>> {
        if !self.traits.locks {
            return None;
        }
        self.point(Point::Locking).await;
        let mutex = lock(&self.device.locks)
            .entry(name.to_owned())
            .or_default()
            .clone();
        let guard = mutex.lock_owned().await;
        self.point(Point::Locked).await;
        Some(guard)
    }

    fn signals(&self) -> VirtualSignals {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mine = (self.process, sender);
        lock(&self.device.everybody).push(mine.clone());
        if let Some(channel) = &self.traits.channel {
            let mut channels = lock(&self.device.channels);
            channels
                .entry(channel.clone())
                .or_default()
                .push(mine.clone());
        }
        if self.traits.storage_events {
            lock(&self.storage.shared.state).listeners.push(mine);
        }
        VirtualSignals(receiver)
    }

    fn has_peers(&self) -> bool {
        self.traits.channel.is_some()
    }

    fn tell(&self, message: PeerMessage) {
        let Some(channel) = &self.traits.channel else {
            return;
        };
        if let Some(listeners) = lock(&self.device.channels).get_mut(channel) {
            listeners.retain(|(of, listener)| {
                *of == self.process || listener.send(Signal::Peer(message.clone())).is_ok()
            });
        }
    }

    fn online(&self) -> bool {
        self.device.network.online()
    }

    fn visible(&self) -> bool {
        self.visible.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl std::fmt::Debug for VirtualPlatform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VirtualPlatform")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}
