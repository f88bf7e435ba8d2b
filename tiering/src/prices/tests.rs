#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const YEAR_MS: i64 = 365 * DAY_MS;
const MIB: u64 = 1 << 20;

fn book() -> Book {
    Book::builtin().unwrap()
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 + b.abs() * 1e-6
}

#[test]
fn storage_is_paid_by_size_and_time() {
    let book = book();
    for (provider, class, bytes, ms, expected) in [
        (Provider::S3, "STANDARD", 1 << 30, MONTH_MS, 0.023),
        (Provider::S3, "STANDARD", 1 << 30, YEAR_MS, 0.276),
        (Provider::Azure, "Archive", 1 << 40, MONTH_MS, 2.048),
        (Provider::Gcs, "ARCHIVE", 1 << 30, MONTH_MS, 0.0012),
        // too small: paid as 128 KiB
        (Provider::S3, "GLACIER_IR", 1, MONTH_MS, 0.004 / 8192.0),
        (Provider::S3, "STANDARD_IA", 128 << 10, MONTH_MS, 0.0125 / 8192.0),
        // 32 KiB more at its own price and 8 KiB at that of STANDARD
        (Provider::S3, "DEEP_ARCHIVE", 0, MONTH_MS, (32.0 * 0.00099 + 8.0 * 0.023) / f64::from(1 << 20)),
        (Provider::S3, "INTELLIGENT_TIERING", 0, MONTH_MS, 0.000_002_5),
        (Provider::Local, "LOCAL", 1 << 40, YEAR_MS, 0.0),
        (Provider::S3, "STANDARD", 1 << 30, -5, 0.0),
    ] {
        let got = book.storage(provider, class, bytes, ms);
        assert!(near(got, expected), "{provider:?} {class} {bytes}: {got} instead of {expected}");
    }
}

#[test]
fn leaving_early_costs_the_rest() {
    let book = book();
    for (provider, class, days, expected_days) in [
        (Provider::S3, "STANDARD", 1, 0),
        (Provider::S3, "GLACIER_IR", 23, 67),
        (Provider::S3, "DEEP_ARCHIVE", 180, 0),
        (Provider::S3, "DEEP_ARCHIVE", 400, 0),
        (Provider::Azure, "Cold", 0, 90),
        (Provider::Gcs, "ARCHIVE", 300, 65),
    ] {
        let stay = book.stay(provider, class, 1 << 30, days * DAY_MS);
        let rate = book.class(provider, class).storage * DAY_MS as f64 / MONTH_MS as f64;
        assert!(near(stay.early, rate * f64::from(expected_days)), "{class} {days}: {stay:?}");
    }
}

#[test]
fn small_objects_cost_more_than_packed_ones() {
    let book = book();
    let of = |objects: f64| book.requests(Provider::S3, "DEEP_ARCHIVE", Op::Put, objects);
    let tib = (1u64 << 40) as f64;
    assert!(near(of(tib / 102_400.0).round(), 537.0));
    assert!(of(tib / (256 * MIB) as f64) < 0.21);
    assert!(near(book.requests(Provider::Azure, "Hot", Op::Delete, 1e9), 0.0));
    assert!(near(book.requests(Provider::Gcs, "COLDLINE", Op::List, 1000.0), 0.005));
}

#[test]
fn restores_have_speeds() {
    let book = book();
    for (provider, class, speed, expected) in [
        (Provider::S3, "GLACIER", Speed::Expedited, Some(10.0 + 30.0)),
        (Provider::S3, "GLACIER", Speed::Bulk, Some(0.0)),
        (Provider::S3, "DEEP_ARCHIVE", Speed::Expedited, None),
        (Provider::S3, "DEEP_ARCHIVE", Speed::Standard, Some(0.1 + 20.0)),
        (Provider::S3, "GLACIER_IR", Speed::Standard, None),
        (Provider::Azure, "Archive", Speed::Expedited, Some(5.0 + 100.0)),
        (Provider::Azure, "Archive", Speed::Bulk, None),
        (Provider::Gcs, "ARCHIVE", Speed::Standard, None),
    ] {
        let got = book.restore(provider, class, speed, 1000.0, 1000.0 * GB);
        assert!(got.is_some() == expected.is_some() && near(got.unwrap_or(0.0), expected.unwrap_or(0.0)));
        assert_eq!(book.class(provider, class).is_archive(), crate::tiers::needs_restore(provider, class));
    }
    assert!(near(book.read(Provider::Gcs, "ARCHIVE", 2.0 * GB), 0.1));
    assert!(near(book.egress(Provider::S3, GB), 0.09));
}

#[test]
fn a_book_names_its_day_and_its_siems() {
    let book = book();
    assert_eq!((book.date.as_str(), book.currency.as_str()), ("2026-01-31", "USD"));
    let siems: Vec<&str> = book.siems().map(|(name, _)| name).collect();
    assert_eq!(siems, ["sentinel", "sentinel_data_lake", "splunk", "elastic"]);
}

#[test]
fn a_book_with_a_gap_is_refused() {
    let whole = Book::default_text();
    for (from, to, message) in [
        ("      NEARLINE:", "      NEARLIEN:", "the store `gcs` has no prices of `NEARLINE`"),
        ("storage: 0.0125", "storage: -1", "`-1` is not a price of `STANDARD_IA`"),
        ("currency: USD", "curency: USD", "unknown key `curency`"),
        ("egress: 0.12", "egress: dear", ""),
    ] {
        let error = Book::parse("p.yaml", &whole.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(message) && error.starts_with("p.yaml:"), "{error}");
    }
}
