//! Guards that count their living and notice a second drop.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

/// Counts the guards that were handed out, and how often each was dropped.
#[derive(Clone, Default)]
pub struct Census(Arc<Mutex<Vec<u32>>>);

impl Census {
    pub fn tracked(&self) -> Tracked {
        let mut drops = self.0.lock().unwrap();
        drops.push(0);
        Tracked {
            census: self.clone(),
            id: drops.len() - 1,
            health: AtomicU64::new(Tracked::ALIVE),
        }
    }

    pub fn born(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Those that were not dropped yet.
    #[track_caller]
    pub fn living(&self) -> usize {
        let drops = self.0.lock().unwrap();
        assert!(drops.iter().all(|&n| n < 2), "dropped twice: {drops:?}");
        drops.iter().filter(|&&n| n == 0).count()
    }
}

/// One living thing.
pub struct Tracked {
    census: Census,
    id: usize,
    health: AtomicU64,
}

impl Tracked {
    const ALIVE: u64 = 0x00a1_15e0_f0f0_a11e;
    const DEAD: u64 = 0x00de_ad00_dead_00de;

    /// Whoever borrows it calls this, and so notices a use after the drop.
    #[track_caller]
    pub fn assert_alive(&self) {
        assert_eq!(self.health.load(Ordering::SeqCst), Self::ALIVE);
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.health.store(Self::DEAD, Ordering::SeqCst);
        if let Ok(mut drops) = self.census.0.lock() {
            drops[self.id] += 1;
        }
    }
}
