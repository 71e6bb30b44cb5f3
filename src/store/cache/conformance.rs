//! One behaviour for every variant of [`Cache`].

use std::convert::Infallible;

use tokio::sync::oneshot;

use super::*;

fn key(tenant: OrganizationId, version: &str) -> Key {
    Key { tenant, task: "model/book".to_owned(), level: "standard", content_version: version.to_owned() }
}

async fn get(cache: &Cache, key: Key, value: &str) -> String {
    let bytes = cache.get_or_make(key, async { Ok::<_, Infallible>(value.as_bytes().to_vec()) }).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What every variant must do, on an empty cache.
async fn exercise(cache: &Cache) {
    let tenant = OrganizationId::new();
    assert_eq!(get(cache, key(tenant, "1"), "one").await, "one");
    assert_eq!(get(cache, key(tenant, "1"), "other").await, "one", "it is kept");
    assert_eq!(get(cache, key(tenant, "2"), "two").await, "two", "another content is another entry");
    assert_eq!(get(cache, key(OrganizationId::new(), "1"), "foreign").await, "foreign", "another tenant has its own");
    let extended = Key { level: "extended", ..key(tenant, "1") };
    assert_eq!(get(cache, extended, "more").await, "more", "another level is another entry");
    assert_eq!(cache.stats(), Stats { hits: 1, misses: 4 });
    failures_are_not_kept(cache, key(tenant, "3")).await;
    one_makes_it_and_the_others_wait(cache, key(tenant, "4")).await;
    assert_eq!(cache.stats(), Stats { hits: 2, misses: 7 });
}

async fn failures_are_not_kept(cache: &Cache, key: Key) {
    let failed = cache.get_or_make(key.clone(), async { Err::<Vec<u8>, _>("broken") }).await;
    assert_eq!(*failed.unwrap_err(), "broken");
    assert_eq!(get(cache, key, "mended").await, "mended");
}

/// The second caller's own future would panic: it must not be run.
async fn one_makes_it_and_the_others_wait(cache: &Cache, key: Key) {
    let (started, has_started) = oneshot::channel();
    let (finish, may_finish) = oneshot::channel::<()>();
    let first = cache.get_or_make(key.clone(), async {
        started.send(()).unwrap();
        may_finish.await.unwrap();
        Ok::<_, Infallible>(b"once".to_vec())
    });
    let second = async {
        has_started.await.unwrap();
        let waiting = cache.get_or_make(key, async { panic!("made twice") });
        let release = async { finish.send(()).unwrap() };
        let (bytes, ()): (Result<Arc<[u8]>, Arc<Infallible>>, ()) = tokio::join!(biased; waiting, release);
        bytes.unwrap()
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((&*first.unwrap(), &*second), (b"once".as_slice(), b"once".as_slice()));
}

#[tokio::test]
async fn embedded_conforms() {
    exercise(&Cache::embedded()).await;
}

#[tokio::test]
async fn embedded_entries_expire() {
    let cache = Cache::with_time_to_live(Duration::ZERO);
    let tenant = OrganizationId::new();
    assert_eq!(get(&cache, key(tenant, "1"), "one").await, "one");
    assert_eq!(get(&cache, key(tenant, "1"), "anew").await, "anew");
    assert_eq!(cache.stats(), Stats { hits: 0, misses: 2 });
}
