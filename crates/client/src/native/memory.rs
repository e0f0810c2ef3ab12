//! A storage that lives as long as the process.

use std::future::pending;
use std::sync::Mutex;

use super::NativeStorage;
use crate::platform::{Storage, StorageFault};
use crate::tokens::lock;

/// Keeps the pair as long as the object lives.
#[derive(Default)]
pub struct MemoryStorage(Mutex<Option<String>>);

impl std::fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStorage").finish_non_exhaustive()
    }
}

impl Storage for MemoryStorage {
    async fn get(&self) -> Result<Option<String>, StorageFault> {
        Ok(lock(&self.0).clone())
    }

    async fn set(&self, text: String) -> Result<(), StorageFault> {
        *lock(&self.0) = Some(text);
        Ok(())
    }

    async fn remove(&self) -> Result<(), StorageFault> {
        *lock(&self.0) = None;
        Ok(())
    }

    fn is_volatile(&self) -> bool {
        true
    }

    fn is_shared(&self) -> bool {
        false
    }
}

impl NativeStorage for MemoryStorage {
    type Guard = ();
    type Seen = ();

    async fn lock(&self, _name: &str) {}

    async fn changed(&self, _seen: &mut ()) {
        pending::<()>().await;
    }
}
