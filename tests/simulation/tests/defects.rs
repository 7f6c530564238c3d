//! The simulation can fail: it finds every deliberate defect within the number of seeds that the defect names.

use simulation::DEFECTS;

#[test]
fn every_defect_is_found() {
    let missed: Vec<&str> = DEFECTS
        .iter()
        .filter(|defect| defect.found().is_none())
        .map(|defect| defect.what)
        .collect();
    assert_eq!(missed, Vec::<&str>::new(), "nobody would notice");
}
