//! A lock around shared state: the bank account of the asyncio guides.
//!
//! asyncio runs one task at a time, so there a lock is needed only where there is an `await` in the
//! middle. Children of a group run in parallel. In Rust nothing can be shared and changed without a
//! lock, so that cannot be forgotten. Nor can the account: `run` lets its children borrow it.
//!
//! ```console
//! $ cargo run --example bank_account
//! ```

use std::fmt;
use std::time::Duration;

use headcount::{GroupError, run, sync::Mutex, time::sleep, timeout};

#[derive(Debug)]
struct InsufficientFunds;

impl fmt::Display for InsufficientFunds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("insufficient funds")
    }
}

impl std::error::Error for InsufficientFunds {}

struct Account {
    balance: Mutex<u64>,
    /// How long the bank works on an order, with the account locked.
    processing: Duration,
}

impl Account {
    fn new(balance: u64, processing: Duration) -> Self {
        let balance = Mutex::new(balance);
        Account {
            balance,
            processing,
        }
    }

    async fn deposit(&self, amount: u64) -> Result<u64, InsufficientFunds> {
        let mut balance = self.balance.lock().await;
        sleep(self.processing).await;
        *balance += amount;
        Ok(*balance)
    }

    /// # Cancel safety
    ///
    /// The balance changes in one step, after the last await: cancelled, it has not changed, and the
    /// lock is free.
    async fn withdraw(&self, amount: u64) -> Result<u64, InsufficientFunds> {
        let mut balance = self.balance.lock().await; // also across the await that follows
        sleep(self.processing).await;
        *balance = balance.checked_sub(amount).ok_or(InsufficientFunds)?;
        Ok(*balance)
    }
}

fn main() -> Result<(), GroupError<InsufficientFunds>> {
    let account = Account::new(100, Duration::from_millis(10));
    run(async |g| {
        g.spawn(account.deposit(50));
        g.spawn(account.withdraw(30));
        g.spawn(account.deposit(20));
        g.spawn(account.withdraw(40));
        Ok(())
    })?;
    println!(
        "100 + 50 - 30 + 20 - 40 = {}",
        *account.balance.lock_blocking()
    );

    // The failure of a child is the failure of the run.
    let refused = run(async |g| {
        g.spawn_named("rent", account.withdraw(1000));
        Ok(())
    });
    let error = refused.expect_err("there is not so much");
    println!("rent: {}", error.first().expect("it was refused"));

    // Given up in the middle, with the lock in hand.
    let account = Account::new(100, Duration::from_secs(3600));
    run(async |_| {
        let given_up = timeout(Duration::from_millis(10), account.withdraw(50)).await;
        println!("given up in the middle: {}", given_up.is_err());
        println!("the balance then: {}", *account.balance.lock().await);
        Ok(())
    })
}
