//! What the host does not let others do, and what it does not give away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::host::Workplace;
use crate::support::{plugins, replica_set};

#[test]
fn a_cache_folder_that_others_can_write_is_refused_and_the_host_goes_on_without() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let cache = place.folder.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    let finished = place.run_once(&["--cache-dir", cache.to_str().unwrap()]);
    assert_eq!(finished.stdout, ["default/a: main"]);
    let said = finished.log("is not used, so every plugin is compiled at each start");
    assert!(said["message"].as_str().unwrap().contains("its mode 777 lets others write in it"), "{said}");
    assert_eq!(fs::read_dir(&cache).unwrap().count(), 0);
}
