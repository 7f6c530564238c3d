//! One storm in every run of the tests; more come with `cargo run -p e2e --bin chaos`.

use e2e::chaos::Theatre;

const SEED: u64 = 1;

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_over_everything_ends_as_a_calm_day_does() {
    println!("seed {SEED}");
    let theatre = Theatre::open().await.unwrap();
    let report = theatre.play(SEED).await.unwrap();
    println!("{report}");
    assert!(report.killed("worker-") > 0, "no worker was killed");
    assert!(report.failed() > 20, "hardly a call to AWS failed");
    assert!(report.storm.zoho > 5, "hardly a request to Zoho failed");
    assert!(report.storm.doubled > 0, "no message came twice");
}
