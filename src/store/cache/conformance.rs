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
    assert_eq!(cache.stats(), Stats { hits: 1, misses: 4, ..Stats::default() });
    failures_are_not_kept(cache, key(tenant, "3")).await;
    one_makes_it_and_the_others_wait(cache, key(tenant, "4")).await;
    assert_eq!(cache.stats(), Stats { hits: 2, misses: 7, ..Stats::default() });
    all_of_it_can_be_removed(cache, key(tenant, "1")).await;
}

async fn failures_are_not_kept(cache: &Cache, key: Key) {
    let failed = cache.get_or_make(key.clone(), async { Err::<Vec<u8>, _>("broken") }).await;
    assert_eq!(*failed.unwrap_err(), "broken");
    assert_eq!(get(cache, key, "mended").await, "mended");
}

async fn all_of_it_can_be_removed(cache: &Cache, key: Key) {
    assert_eq!(cache.entries().await.unwrap(), 6);
    assert_eq!(cache.clear().await.unwrap(), 6);
    assert_eq!(cache.entries().await.unwrap(), 0);
    assert_eq!(get(cache, key, "anew").await, "anew");
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
    assert_eq!(cache.stats(), Stats { hits: 0, misses: 2, ..Stats::default() });
}

/// Against a server; each test is an installation of its own there.
mod server {
    use std::io::Read;
    use std::net::TcpListener;

    use ::redis::aio::MultiplexedConnection;

    use super::*;
    use crate::store::breaker::Position;
    use crate::store::testing;

    const THRESHOLDS: Thresholds = Thresholds { failures: 3, open: Duration::from_mins(1) };

    struct Server {
        url: String,
        installation: String,
    }

    impl Server {
        fn of_tests() -> Option<Self> {
            let url = testing::server("SPECWAVE_TEST_REDIS_URL")?;
            Some(Self { url, installation: uuid::Uuid::now_v7().to_string() })
        }

        fn cache(&self) -> Cache {
            Cache::redis(&self.url, &self.installation, THRESHOLDS).unwrap()
        }

        async fn connection(&self) -> MultiplexedConnection {
            ::redis::Client::open(self.url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap()
        }
    }

    fn name(cache: &Cache, key: &Key) -> String {
        let Store::Redis(redis) = &cache.store else { panic!("no server") };
        redis.name(key)
    }

    #[tokio::test]
    async fn redis_conforms() {
        let Some(server) = Server::of_tests() else { return };
        exercise(&server.cache()).await;
    }

    #[tokio::test]
    async fn processes_share_entries_and_installations_do_not() {
        let Some(server) = Server::of_tests() else { return };
        let (first, second, tenant) = (server.cache(), server.cache(), OrganizationId::new());
        assert_eq!(get(&first, key(tenant, "1"), "one").await, "one");
        assert_eq!(get(&second, key(tenant, "1"), "other").await, "one");
        assert_eq!(second.stats(), Stats { hits: 1, ..Stats::default() });
        let elsewhere = Cache::redis(&server.url, "another", THRESHOLDS).unwrap();
        assert_eq!(get(&elsewhere, key(tenant, "1"), "other").await, "other");
        assert_eq!((first.clear().await.unwrap(), get(&elsewhere, key(tenant, "1"), "gone").await.as_str()), (1, "other"));
    }

    #[tokio::test]
    async fn entries_live_ten_minutes_under_a_name_that_tells_nothing() {
        let Some(server) = Server::of_tests() else { return };
        let (cache, key) = (server.cache(), Key { task: "a secret ".repeat(1_000), ..key(OrganizationId::new(), "1") });
        get(&cache, key.clone(), "one").await;
        let name = name(&cache, &key);
        assert!(name.len() < 200 && !name.contains("secret"), "{name}");
        let left: i64 = ::redis::cmd("PTTL").arg(&name).query_async(&mut server.connection().await).await.unwrap();
        assert!((590_000..=600_000).contains(&left), "{left}");
    }

    #[tokio::test]
    async fn what_is_not_ours_under_a_key_is_made_anew() {
        let Some(server) = Server::of_tests() else { return };
        let (cache, mut connection) = (server.cache(), server.connection().await);
        for (number, value) in ["", "of an older form", &"x".repeat(100)].into_iter().enumerate() {
            let key = key(OrganizationId::new(), &number.to_string());
            let () = ::redis::cmd("SET").arg(name(&cache, &key)).arg(value).query_async(&mut connection).await.unwrap();
            assert_eq!(get(&cache, key.clone(), "anew").await, "anew", "{value:?}");
            assert_eq!(get(&cache, key, "other").await, "anew");
        }
        let key = key(OrganizationId::new(), "list");
        let () = ::redis::cmd("RPUSH").arg(name(&cache, &key)).arg("1").query_async(&mut connection).await.unwrap();
        assert_eq!(get(&cache, key.clone(), "anew").await, "anew", "another type");
        assert_eq!(get(&cache, key, "other").await, "anew");
        assert_eq!(cache.stats(), Stats { hits: 4, misses: 4, reads_failed: 1, ..Stats::default() });
        assert_eq!(cache.breaker().unwrap().position(), Position::Closed, "the server is well");
    }

    #[tokio::test]
    async fn what_is_too_large_is_made_each_time() {
        let Some(server) = Server::of_tests() else { return };
        let (cache, key, large) = (server.cache(), key(OrganizationId::new(), "1"), "x".repeat(256 * 1024 + 1));
        get(&cache, key.clone(), &large).await;
        assert_eq!(get(&cache, key, "other").await, "other");
        assert_eq!(cache.stats(), Stats { misses: 2, too_large: 1, ..Stats::default() });
    }

    #[tokio::test]
    async fn it_says_which_version_answers() {
        let Some(server) = Server::of_tests() else { return };
        let info = server.cache().info().await.unwrap().unwrap();
        assert!(info.version.starts_with(|first: char| first.is_ascii_digit()), "{info:?}");
        assert!(server.url.ends_with(&info.address) || server.url.contains(&format!("{}/", info.address)), "{info:?}");
    }

    /// A server that takes everything and says nothing costs each caller its deadline, until it is not asked any more.
    #[tokio::test]
    async fn a_silent_server_is_asked_three_times_and_then_left_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cache = Cache::redis(&format!("redis://{}", listener.local_addr().unwrap()), "test", THRESHOLDS).unwrap();
        let silent = std::thread::spawn(move || {
            let streams: Vec<_> = (0..3).map(|_| listener.accept().unwrap().0).collect();
            for mut stream in streams {
                // Ends when the client has given it up.
                drop(stream.read_to_end(&mut Vec::new()));
            }
        });
        for number in 0..4 {
            assert_eq!(get(&cache, key(OrganizationId::new(), &number.to_string()), "made").await, "made");
        }
        assert_eq!(cache.stats(), Stats { misses: 4, reads_failed: 4, writes_failed: 4, too_late: 3, ..Stats::default() });
        assert_eq!(cache.breaker().unwrap().position(), Position::Open);
        silent.join().unwrap();
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_without_being_shown() {
        let error = Cache::redis("redis://:secret-word@[nonsense", "test", THRESHOLDS).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret-word"), "{error:?}");
    }
}
