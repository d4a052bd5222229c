//! Boundaries by name, to try what a rule says in every nesting of them.

use std::{future::Future, pin::Pin};

use headcount::{CancelScope, group, scope, timeout};

use super::{Ledger, Oops, done, secs};

/// A future without its type.
pub type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One boundary around some code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The body of a group.
    Group,
    /// A spawned child of a group.
    GroupChild,
    /// The body of an inline scope.
    Scope,
    /// An inline child of a scope.
    ScopeChild,
    /// A timeout that never passes.
    Timeout,
    /// A cancel scope that nobody cancels.
    Cancel,
}

impl Layer {
    pub const ALL: [Layer; 6] = [
        Layer::Group,
        Layer::GroupChild,
        Layer::Scope,
        Layer::ScopeChild,
        Layer::Timeout,
        Layer::Cancel,
    ];

    /// Puts `inner` into this boundary. Panics if that resumes without the value of `inner`.
    pub fn around<T: Send + 'static>(self, inner: Boxed<T>) -> Boxed<T> {
        match self {
            Layer::Group => Box::pin(async {
                let body = async move |_| Ok::<T, Oops>(inner.await);
                group(body).await.unwrap()
            }),
            Layer::GroupChild => Box::pin(async {
                let body = async move |g: headcount::TaskGroup<'static, Oops>| {
                    let child = g.spawn(async { Ok(inner.await) });
                    Ok(child.await.unwrap())
                };
                group(body).await.unwrap()
            }),
            Layer::Scope => Box::pin(async {
                let body = async move |_| Ok::<T, Oops>(inner.await);
                scope(body).await.unwrap()
            }),
            Layer::ScopeChild => Box::pin(async {
                let body = async move |s: headcount::Scope<'static, Oops>| {
                    let child = s.spawn(async { Ok(inner.await) });
                    Ok(child.await.unwrap())
                };
                scope(body).await.unwrap()
            }),
            Layer::Timeout => Box::pin(async { timeout(secs(1_000_000), inner).await.unwrap() }),
            Layer::Cancel => Box::pin(async { CancelScope::new().enter(inner).await.unwrap() }),
        }
    }
}

/// Every nesting of `depth` layers, the outermost first.
pub fn nestings(depth: usize) -> Vec<Vec<Layer>> {
    let mut all = vec![Vec::new()];
    for _ in 0..depth {
        let longer = |nesting: Vec<Layer>| {
            Layer::ALL.map(|layer| nesting.iter().copied().chain([layer]).collect())
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// Puts `inner` into these layers, the outermost first.
pub fn nested<T: Send + 'static>(
    layers: &[Layer],
    inner: impl Future<Output = T> + Send + 'static,
) -> Boxed<T> {
    let inner: Boxed<T> = Box::pin(inner);
    let layers = layers.iter().rev();
    layers.fold(inner, |inner, layer| layer.around(inner))
}

/// As `nested`, where the code around each layer owns something: dropped, it notes `"owner N cut"`
/// with the number of its layer, counted from outside.
pub fn nested_with_owners<T: Send + 'static>(
    ledger: &Ledger,
    layers: &[Layer],
    inner: impl Future<Output = T> + Send + 'static,
) -> Boxed<T> {
    const OWNERS: [&str; 4] = ["owner 0", "owner 1", "owner 2", "owner 3"];
    let inner: Boxed<T> = Box::pin(inner);
    let layers = layers.iter().zip(OWNERS).rev();
    layers.fold(inner, |inner, (layer, name)| {
        let (inner, mark) = (layer.around(inner), ledger.mark(name));
        Box::pin(async move {
            let value = inner.await;
            mark.finish("resumed");
            value
        })
    })
}

/// A child that counts out after `dur`, whatever happens: a shielded sleep.
pub async fn shielded_sleep(dur: std::time::Duration) -> Result<(), Oops> {
    headcount::shield(headcount::time::sleep(dur)).await;
    done()
}
