//! The servers and the costs of downloads.

use std::time::Duration;

use accretion_core::Fault as _;
use accretion_core::limits::{DownloadLimits, Limits};
use accretion_local::Downloader;
use accretion_local::cache::WheelCache;
use accretion_python::lock::LockedFile;
use accretion_service::ports::Wheels as _;
use accretion_testing::forge::Wheel;
use accretion_testing::index::{Fault, PackageIndex};

use crate::harness::{downloader, locked, pure, wheel_cache, wheel_cache_within};

/// Gets a wheel from a URL into a fresh cache. Returns the code of the error.
async fn get(downloader: Downloader, wheel: &Wheel, url: String) -> Result<(), &'static str> {
    let root = tempfile::tempdir().unwrap();
    let file = LockedFile {
        url: url.parse().unwrap(),
        sha256: wheel.sha256.parse().unwrap(),
        size: None,
    };
    let filename = wheel.filename.parse().unwrap();
    let wheels = wheel_cache(root.path(), downloader);
    let stored = wheels.get(&filename, &file).await;
    let kept = root.path().join("wheels").read_dir().unwrap().count();
    assert_eq!(kept, if stored.is_ok() { 2 } else { 0 });
    stored.map(drop).map_err(|error| error.code())
}

#[tokio::test]
async fn addresses_of_this_machine_are_refused_where_that_is_wanted() {
    let wheel = pure("a");
    let index = PackageIndex::start([&wheel]);
    let by_address = index.file_url(&wheel.filename);
    let by_name = by_address.replace("127.0.0.1", "localhost");
    for url in [&by_address, &by_name] {
        assert_eq!(get(downloader(None), &wheel, url.clone()).await, Ok(()));
        index.forget_requests();
        for url in [url.clone(), url.replace("http:", "https:")] {
            let refusing = downloader(None).refusing_local_addresses();
            let code = get(refusing, &wheel, url).await;
            assert_eq!(code, Err("LocalAddressRefused"));
        }
        assert_eq!(index.requests(), []);
    }
}

#[tokio::test]
async fn redirects_to_this_machine_are_refused_too() {
    let wheel = pure("a");
    let (index, elsewhere) = (PackageIndex::start([&wheel]), PackageIndex::start([&wheel]));
    let url = index.file_url(&wheel.filename);
    let chosen = index.url().parse().unwrap();
    let refusing = || downloader(Some(&chosen)).refusing_local_addresses();
    // The index itself is where the user said so.
    assert_eq!(get(refusing(), &wheel, url.clone()).await, Ok(()));
    for to in [
        elsewhere.file_url(&wheel.filename),
        elsewhere
            .file_url(&wheel.filename)
            .replace("127.0.0.1", "localhost"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[fd00:ec2::254]/latest/meta-data/".to_owned(),
        "https://0.0.0.0/".to_owned(),
    ] {
        index.fault(&wheel.filename, Fault::Redirect(to.clone()));
        let code = get(refusing(), &wheel, url.clone()).await;
        assert_eq!(code, Err("LocalAddressRefused"), "{to}");
    }
    assert_eq!(elsewhere.requests(), []);

    let to = elsewhere.file_url(&wheel.filename);
    index.fault(&wheel.filename, Fault::Redirect(to));
    assert_eq!(get(downloader(Some(&chosen)), &wheel, url).await, Ok(()));
    assert_eq!(elsewhere.requests().len(), 1);
}

#[tokio::test]
async fn credentials_stay_with_the_server_of_their_index() {
    let wheel = pure("a");
    let (index, elsewhere) = (PackageIndex::start([&wheel]), PackageIndex::start([&wheel]));
    // `user:password`
    index.require_authorization("Basic dXNlcjpwYXNzd29yZA==");
    let url = index.url().replace("//", "//user:password@");
    let chosen = || downloader(Some(&url.parse().unwrap()));
    let file = |index: &PackageIndex| index.file_url(&wheel.filename);
    assert_eq!(get(chosen(), &wheel, file(&index)).await, Ok(()));
    assert_eq!(
        get(downloader(None), &wheel, file(&index)).await,
        Err("FileNotFound")
    );

    index.fault(&wheel.filename, Fault::Redirect(file(&elsewhere)));
    assert_eq!(get(chosen(), &wheel, file(&index)).await, Ok(()));
    // The same would open it, but it does not come along.
    elsewhere.require_authorization("Basic dXNlcjpwYXNzd29yZA==");
    for url in [file(&index), file(&elsewhere)] {
        assert_eq!(get(chosen(), &wheel, url).await, Err("FileNotFound"));
    }
}

#[tokio::test]
async fn a_redirect_to_plain_http_is_refused_everywhere() {
    let wheel = pure("a");
    let index = PackageIndex::start([&wheel]);
    index.fault(
        &wheel.filename,
        Fault::Redirect("http://192.0.2.1/a".to_owned()),
    );
    let (_, file) = locked(&index, &wheel);
    let code = get(downloader(None), &wheel, file.url.to_string()).await;
    assert_eq!(code, Err("InsecureUrl"));
}

fn limited(root: &std::path::Path, limits: DownloadLimits) -> WheelCache {
    let limits = Limits {
        download: limits,
        ..Limits::default()
    };
    wheel_cache_within(root, downloader(None), limits)
}

#[tokio::test]
async fn only_so_much_is_downloaded() {
    let wheels = ["a", "b", "c"].map(pure);
    let index = PackageIndex::start(&wheels);
    let [a, b, c] = wheels.each_ref().map(|wheel| locked(&index, wheel));
    let size = wheels[0].bytes.len() as u64;
    let root = tempfile::tempdir().unwrap();
    let of_one = DownloadLimits {
        file: size - 1,
        ..DownloadLimits::default()
    };
    // Whether or not the server says how much there is.
    for fault in [None, Some(Fault::Slow(1 << 20))] {
        if let Some(fault) = fault {
            index.fault(&wheels[0].filename, fault);
        }
        let error = limited(root.path(), of_one)
            .get(&a.0, &a.1)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "DownloadTooLarge");
    }
    let of_all = DownloadLimits {
        total: 2 * size,
        ..DownloadLimits::default()
    };
    let cache = limited(root.path(), of_all);
    assert!(cache.get(&a.0, &a.1).await.is_ok());
    assert!(cache.get(&b.0, &b.1).await.is_ok());
    let error = cache.get(&c.0, &c.1).await.unwrap_err();
    assert_eq!(error.code(), "DownloadsTooLarge");
    assert_eq!(
        error.to_string(),
        format!(
            "the files of the layer have more than {} bytes, the limit for one build",
            2 * size
        )
    );
    // What is there already costs nothing, and the next build has an allowance of its own.
    assert!(cache.get(&a.0, &a.1).await.is_ok());
    assert!(limited(root.path(), of_all).get(&c.0, &c.1).await.is_ok());
}

#[tokio::test]
async fn a_download_that_trickles_is_ended() {
    let wheel = pure("a");
    let index = PackageIndex::start([&wheel]);
    index.fault(&wheel.filename, Fault::Slow(1));
    let (filename, file) = locked(&index, &wheel);
    let root = tempfile::tempdir().unwrap();
    let limits = DownloadLimits {
        time: Duration::from_secs(1),
        ..DownloadLimits::default()
    };
    let error = limited(root.path(), limits)
        .get(&filename, &file)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "DownloadTooSlow");
    assert_eq!(
        error.to_string(),
        "`a-1.0-py3-none-any.whl` had not come from 127.0.0.1 after 1 seconds"
    );
    // Nothing of it is left.
    assert_eq!(root.path().join("wheels").read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn only_hosts_that_are_allowed_are_asked() {
    let wheel = pure("a");
    let (index, elsewhere) = (PackageIndex::start([&wheel]), PackageIndex::start([&wheel]));
    let url = index.file_url(&wheel.filename);
    let allowing = |hosts: &str| downloader(None).allowing(hosts.parse().unwrap());
    assert_eq!(
        get(allowing("127.0.0.1"), &wheel, url.clone()).await,
        Ok(())
    );
    index.forget_requests();
    let refused = get(allowing("localhost, *.example.com"), &wheel, url.clone()).await;
    assert_eq!(refused, Err("HostNotAllowed"));
    assert_eq!(index.requests(), []);

    // The index that was chosen is allowed; what it leads to need not be.
    let chosen = index.url().parse().unwrap();
    let by_index = || downloader(Some(&chosen)).allowing("files.example.com".parse().unwrap());
    assert_eq!(get(by_index(), &wheel, url.clone()).await, Ok(()));
    let to = elsewhere
        .file_url(&wheel.filename)
        .replace("127.0.0.1", "localhost");
    for to in [to, "https://files.example.com.evil.invalid/a".to_owned()] {
        index.fault(&wheel.filename, Fault::Redirect(to.clone()));
        let refused = get(by_index(), &wheel, url.clone()).await;
        assert_eq!(refused, Err("HostNotAllowed"), "{to}");
    }
    assert_eq!(elsewhere.requests(), []);
}
