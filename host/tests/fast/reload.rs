//! Plugins that are replaced, added and taken away while the host runs.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use oarlock::folder::Timing;
use oarlock::plugin::{AotCache, Change, Compiler, Engine, Limits, Loader, Reload};

use crate::support::host::{Host, Workplace};
use crate::support::{DEADLINE, plugins, poll, poll_for, probe, replica_set, write_whole};

const PAUSE: Duration = Duration::from_millis(400);

/// The host with the default plugin and one object, which is reconciled.
fn running() -> (Workplace, Host) {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let host = place.run(&[]);
    host.line("default/a: main");
    host.settled();
    (place, host)
}

/// The default plugin with another digest.
fn variation(content: u8) -> Vec<u8> {
    plugins::variation(plugins::print_containers(), content)
}

fn reloaded(host: &Host) {
    host.log("is in force, every object is reconciled again");
    host.line("default/a: main");
}

/// How many times the default plugin was put in force.
fn in_force(host: &Host) -> usize {
    host.messages().iter().filter(|message| message.contains("is in force")).count()
}

fn refused(host: &Host) -> Vec<String> {
    host.messages().into_iter().filter(|message| message.contains("is refused")).collect()
}

#[test]
fn a_slow_copy_over_the_file_is_taken_when_it_is_whole() {
    let (place, host) = running();
    let mut file = File::create(place.plugins.join("print-containers.wasm")).unwrap();
    for chunk in variation(1).chunks(40_000) {
        file.write_all(chunk).unwrap();
        sleep(PAUSE);
    }
    drop(file);
    reloaded(&host);
    assert_eq!((in_force(&host), refused(&host)), (2, vec![]));
    host.stop();
}

#[test]
fn a_copy_in_pieces_that_are_closed_one_by_one_is_taken_when_it_is_whole() {
    let (place, host) = running();
    let path = place.plugins.join("print-containers.wasm");
    File::create(&path).unwrap();
    for chunk in variation(1).chunks(40_000) {
        OpenOptions::new().append(true).open(&path).unwrap().write_all(chunk).unwrap();
        sleep(PAUSE);
    }
    reloaded(&host);
    assert_eq!((in_force(&host), refused(&host)), (2, vec![]));
    host.stop();
}

#[test]
fn a_copy_that_breaks_off_and_is_done_again_slowly_is_never_called_broken() {
    let (place, host) = running();
    let path = place.plugins.join("print-containers.wasm");
    let bytes = variation(1);
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    sleep(Duration::from_secs(1));
    let mut file = File::create(&path).unwrap();
    for chunk in bytes.chunks(30_000) {
        file.write_all(chunk).unwrap();
        sleep(Duration::from_secs(1));
    }
    drop(file);
    reloaded(&host);
    assert_eq!((in_force(&host), refused(&host)), (2, vec![]));
    host.stop();
}

#[test]
fn a_new_file_that_is_copied_slowly_is_taken_when_it_is_whole() {
    let (place, host) = running();
    let mut file = File::create(place.plugins.join("second.wasm")).unwrap();
    for chunk in variation(1).chunks(40_000) {
        file.write_all(chunk).unwrap();
        sleep(PAUSE);
    }
    drop(file);
    assert_eq!(host.log("is in force")["plugin"], "print-containers");
    assert_eq!(host.log("is in force")["plugin"], "second");
    host.line("default/a: main");
    assert_eq!(refused(&host), [""; 0]);
    host.stop();
}

#[test]
fn a_file_written_beside_and_renamed_is_taken() {
    let (place, host) = running();
    write_whole(&place.plugins.join("print-containers.wasm"), &variation(1));
    reloaded(&host);
    host.stop();
}

#[test]
fn a_file_edited_in_place_is_taken() {
    let (place, host) = running();
    let path = place.plugins.join("print-containers.wasm");
    write_whole(&path, &variation(1));
    reloaded(&host);
    // The last byte of the file is the content of the section that makes it a variation.
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[2], fs::metadata(&path).unwrap().len() - 1).unwrap();
    drop(file);
    reloaded(&host);
    host.stop();
}

#[test]
fn touch_chmod_and_the_same_bytes_again_change_nothing() {
    let (place, host) = running();
    let path = place.plugins.join("print-containers.wasm");
    File::options().append(true).open(&path).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    sleep(PAUSE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    sleep(PAUSE);
    write_whole(&path, &plugins::print_containers());
    sleep(PAUSE);
    // A change after all that shows that the host has looked.
    place.plugin("second", &variation(1));
    host.line("default/a: main");
    poll("version in force", || (in_force(&host) >= 2).then_some(()));
    assert_eq!(in_force(&host), 2);
    assert_eq!(host.stop().stdout.len(), 2);
}

#[test]
fn a_config_map_mount_is_followed_through_its_swaps() {
    let place = Workplace::new();
    place.object(&replica_set("a", &["main"]));
    let files = |content| [("one.wasm", variation(content)), ("two.wasm", variation(content))];
    config_map(&place.plugins, 1, &files(1));
    let host = place.run(&[]);
    host.settled();
    for content in 2..5 {
        config_map(&place.plugins, content, &files(content));
        let mut names = [(); 2]
            .map(|()| host.log("is in force, every object is reconciled again")["plugin"].as_str().unwrap().to_owned());
        names.sort();
        assert_eq!(names, ["one", "two"], "both files are changed by one swap");
    }
    config_map(&place.plugins, 5, &[("two.wasm", variation(4))]);
    assert_eq!(host.log("stopped: its file is gone")["plugin"], "one");
    sleep(PAUSE);
    assert_eq!(refused(&host), [""; 0]);
    assert_eq!(in_force(&host), 2 * 4);
    host.stop();
}

/// Does what the kubelet does to bring the files of a ConfigMap or Secret up to date: see `AtomicWriter` in
/// `pkg/volume/util/atomic_writer.go` of Kubernetes.
fn config_map(mount: &Path, generation: u8, files: &[(&str, Vec<u8>)]) {
    let timestamped = format!("..2026_01_02_03_04_{generation:02}.123456789");
    let before = fs::read_link(mount.join("..data")).ok();
    fs::create_dir(mount.join(&timestamped)).unwrap();
    for (name, bytes) in files {
        fs::write(mount.join(&timestamped).join(name), bytes).unwrap();
        fs::set_permissions(mount.join(&timestamped).join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    symlink(&timestamped, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    for (name, _) in files {
        if !mount.join(name).is_symlink() {
            symlink(format!("..data/{name}"), mount.join(name)).unwrap();
        }
    }
    for entry in fs::read_dir(mount).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with("..") && files.iter().all(|(file, _)| *file != name) {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    if let Some(before) = before {
        fs::remove_dir_all(mount.join(before)).unwrap();
    }
}

#[test]
fn a_folder_in_the_worktree_that_git_sync_links_to_is_followed_from_commit_to_commit() {
    let place = Workplace::new();
    place.object(&replica_set("a", &["main"]));
    let followed = place.plugins.join("current/plugins");
    let manifests = place.manifests.as_os_str();
    // There is nothing yet when the host starts, and no looking without an event.
    let args = ["--poll-interval".as_ref(), "0s".as_ref(), "--manifests".as_ref(), manifests];
    let host = Host::start(&followed, &args, &[]);
    host.log("there is no plugin folder");
    for commit in 1..4 {
        git_sync(&place.plugins, commit, &[("one.wasm", variation(commit)), ("two.wasm", variation(commit))]);
        let mut names = [(); 2].map(|()| host.log("is in force")["plugin"].as_str().unwrap().to_owned());
        names.sort();
        assert_eq!(names, ["one", "two"], "commit {commit}");
    }
    git_sync(&place.plugins, 4, &[("two.wasm", variation(3))]);
    assert_eq!(host.log("stopped: its file is gone")["plugin"], "one");
    sleep(PAUSE);
    assert_eq!((refused(&host), in_force(&host)), (vec![], 6));
    host.stop();
}

/// Does what git-sync does to publish a commit, which leaves the worktree of the one before for a while: see
/// `publishSymlink` in its `main.go`.
fn git_sync(root: &Path, commit: u8, files: &[(&str, Vec<u8>)]) {
    let worktree = format!(".worktrees/{commit:040x}");
    fs::create_dir_all(root.join(&worktree).join("plugins")).unwrap();
    for (name, bytes) in files {
        fs::write(root.join(&worktree).join("plugins").join(name), bytes).unwrap();
    }
    symlink(&worktree, root.join("tmp-link")).unwrap();
    fs::rename(root.join("tmp-link"), root.join("current")).unwrap();
    if let Some(stale) = commit.checked_sub(2) {
        fs::remove_dir_all(root.join(format!(".worktrees/{stale:040x}"))).ok();
    }
}

#[test]
fn a_broken_file_leaves_the_old_version_in_force_and_is_told_once_until_a_good_one_comes() {
    let (place, host) = running();
    let path = place.plugins.join("print-containers.wasm");
    write_whole(&path, b"\0asm\x01\0\0\0 and then nonsense");
    let line = host.log("print-containers.wasm is refused, version ");
    assert!(line["message"].as_str().unwrap().contains("stays in force: it is not valid WebAssembly"), "{line}");
    place.object(&replica_set("b", &["old"]));
    host.line("default/b: old");
    for _ in 0..3 {
        let now = std::time::SystemTime::now();
        File::options().append(true).open(&path).unwrap().set_modified(now).unwrap();
        sleep(PAUSE);
    }
    assert_eq!(refused(&host).len(), 1);
    write_whole(&path, &variation(1));
    reloaded(&host);
    host.stop();
}

#[test]
fn going_back_to_what_is_in_force_after_a_broken_file_reconciles_nothing() {
    let (place, host) = running();
    let path = place.plugins.join("print-containers.wasm");
    write_whole(&path, b"broken");
    host.log("print-containers.wasm is refused");
    write_whole(&path, &plugins::print_containers());
    host.log("the files are again what is in force");
    assert_eq!(host.stop().stdout.len(), 1);
}

#[test]
fn a_new_file_starts_and_a_removed_one_stops_after_its_call() {
    let (place, host) = running();
    place.plugin("probe", &plugins::probe(1));
    host.line_with("version-0001 default/a");
    place.object(&probe("b", "nap"));
    host.line("default/b: main");
    sleep(Duration::from_millis(200));
    fs::remove_file(place.plugins.join("probe.wasm")).unwrap();
    host.line_with("version-0001 default/b nap");
    assert_eq!(host.log("stopped: its file is gone")["plugin"], "probe");
    place.object(&replica_set("c", &["main"]));
    host.line("default/c: main");
    assert!(host.stop().stdout.iter().all(|line| !line.contains("version-0001 default/c")));
}

#[test]
fn a_file_that_is_back_during_a_call_from_before_waits_for_its_end() {
    let place = Workplace::new();
    let path = place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "nap"));
    let host = place.run(&[]);
    host.log("is in force");
    host.log("version-0001 begins default/a");
    fs::remove_file(path).unwrap();
    host.log("stopped: its file is gone");
    place.plugin("probe", &plugins::probe(2));
    host.log("is in force");
    host.line_with("version-0002 default/a nap");
    let calls: Vec<_> = host.stop().messages().into_iter().filter(|line| line.starts_with("version-")).collect();
    let order =
        ["0001 begins", "0001 ends", "0002 begins", "0002 ends"].map(|call| format!("version-{call} default/a"));
    assert_eq!(calls, order);
}

#[test]
fn a_renamed_file_is_a_new_plugin() {
    let (place, host) = running();
    fs::rename(place.plugins.join("print-containers.wasm"), place.plugins.join("renamed.wasm")).unwrap();
    assert_eq!(host.log("stopped: its file is gone")["plugin"], "print-containers");
    host.line("default/a: main");
    poll("new plugin", || (in_force(&host) == 2).then_some(()));
    host.stop();
}

#[test]
fn the_folder_may_come_late_go_and_come_back() {
    let place = Workplace::new();
    place.object(&replica_set("a", &["main"]));
    fs::remove_dir(&place.plugins).unwrap();
    let host = place.run(&[]);
    host.log("there is no plugin folder");
    for _ in 0..3 {
        fs::create_dir(&place.plugins).unwrap();
        place.plugin("print-containers", &plugins::print_containers());
        host.line("default/a: main");
        fs::remove_dir_all(&place.plugins).unwrap();
        host.log("stopped: its file is gone");
    }
    host.stop();
}

#[test]
fn a_folder_that_is_replaced_at_once_is_followed_by_its_events() {
    let place = Workplace::new();
    place.object(&replica_set("a", &["main"]));
    let host = place.run(&["--poll-interval", "0s"]);
    host.settled();
    let aside = place.folder.path().join("aside");
    for content in 1..4 {
        // Made anew, it may have the same inode; moved away and back, it has.
        fs::remove_dir_all(&place.plugins).unwrap();
        fs::create_dir(&place.plugins).unwrap();
        fs::rename(&place.plugins, &aside).unwrap();
        fs::rename(&aside, &place.plugins).unwrap();
        sleep(PAUSE);
        place.plugin("print-containers", &variation(content));
        host.line("default/a: main");
    }
    host.stop();
}

#[test]
fn a_file_of_the_same_size_and_time_of_modification_is_taken() {
    let (place, host) = running();
    let path = place.plugins.join("print-containers.wasm");
    write_whole(&path, &variation(1));
    reloaded(&host);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    sleep(Duration::from_secs(2));
    fs::write(&path, variation(2)).unwrap();
    File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    reloaded(&host);
    host.stop();
}

#[test]
fn two_broken_files_in_a_row_are_told_of_each() {
    let (place, host) = running();
    for content in [b"\0asm\x01\0\0\0\0\x02\x01a", b"\0asm\x01\0\0\0\0\x02\x01b"] {
        write_whole(&place.plugins.join("print-containers.wasm"), content);
        host.log("it is a module that exports neither the world");
    }
    host.stop();
}

#[test]
fn a_folder_several_levels_of_which_are_missing_is_found_when_it_comes() {
    let place = Workplace::new();
    place.object(&replica_set("a", &["main"]));
    let deep = place.plugins.join("some/where/deep");
    let args = ["--manifests".as_ref(), place.manifests.as_os_str()];
    let host = Host::start(&deep, &args, &[]);
    host.log("there is no plugin folder");
    fs::create_dir_all(&deep).unwrap();
    write_whole(&deep.join("print-containers.wasm"), &plugins::print_containers());
    host.line("default/a: main");
    host.stop();
}

#[test]
fn a_folder_that_is_a_symlink_is_followed_to_where_it_leads() {
    let place = Workplace::new();
    place.object(&replica_set("a", &["main"]));
    let releases = [1, 2].map(|content| {
        let release = place.folder.path().join(format!("release-{content}"));
        fs::create_dir(&release).unwrap();
        write_whole(&release.join("print-containers.wasm"), &variation(content));
        release
    });
    let current = place.folder.path().join("current");
    symlink(&releases[0], &current).unwrap();
    let args = ["--manifests".as_ref(), place.manifests.as_os_str()];
    let host = Host::start(&current, &args, &[]);
    host.line("default/a: main");
    symlink(&releases[1], place.folder.path().join("next")).unwrap();
    fs::rename(place.folder.path().join("next"), &current).unwrap();
    reloaded(&host);
    write_whole(&releases[1].join("print-containers.wasm"), &variation(3));
    reloaded(&host);
    host.stop();
}

#[test]
fn without_events_a_change_is_found_by_looking() {
    // A symlink to a file elsewhere: nothing in the folder changes when that file does.
    let place = Workplace::new();
    place.object(&replica_set("a", &["main"]));
    let elsewhere = place.folder.path().join("elsewhere.wasm");
    write_whole(&elsewhere, &variation(1));
    symlink(&elsewhere, place.plugins.join("print-containers.wasm")).unwrap();
    let host = place.run(&["--poll-interval", "200ms"]);
    host.line("default/a: main");
    for content in 2..4 {
        write_whole(&elsewhere, &variation(content));
        reloaded(&host);
    }
    host.stop();
}

#[test]
fn the_new_version_is_put_in_force_while_the_old_one_is_in_a_call() {
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(1));
    place.object(&probe("a", "nap"));
    let host = place.run(&[]);
    host.log("version-0001 begins default/a");
    place.plugin("probe", &plugins::probe(2));
    host.log("is in force, every object is reconciled again");
    assert_eq!(host.stdout(), [""; 0], "the old version is in its call");
    host.line("version-0001 default/a nap attempt 0");
    host.line("version-0002 default/a nap attempt 0");
    host.stop();
}

#[test]
fn fifty_replacements_under_a_stream_of_events_lose_nothing() {
    const OBJECTS: usize = 20;
    let place = Workplace::new();
    place.plugin("probe", &plugins::probe(0));
    let host = place.run(&["--debounce", "10ms"]);
    host.settled();
    let mut round = 0;
    for version in 1..=50 {
        place.plugin("probe", &plugins::probe(version));
        for _ in 0..4 {
            round += 1;
            place.object(&probe(&format!("object-{}", round % OBJECTS), &format!("round-{round}")));
            sleep(Duration::from_millis(15));
        }
    }
    // The last version sees the last state of every object.
    let last = |index: usize| (1..=round).rev().find(|round| round % OBJECTS == index).unwrap();
    for index in 0..OBJECTS {
        host.line(&format!("version-0050 default/object-{index} round-{} attempt 0", last(index)));
    }
    let finished = host.stop();
    let versions: Vec<u32> = finished.stdout.iter().map(|line| line[8..12].parse().unwrap()).collect();
    assert!(versions.is_sorted(), "a version works only after those before it: {versions:?}");
    let distinct: BTreeSet<_> = versions.iter().collect();
    assert!(distinct.len() >= 3, "versions take over while events come: {distinct:?}");

    // Of one object, a call begins only after the one before it has ended, whatever their versions.
    let mut begun = BTreeSet::new();
    for message in finished.messages().iter().filter(|message| message.starts_with("version-")) {
        if let Some((_, object)) = message.split_once(" begins ") {
            assert!(begun.insert(object.to_owned()), "{object} is reconciled twice at once");
        } else if let Some((_, object)) = message.split_once(" ends ") {
            assert!(begun.remove(object));
        }
    }
}

#[test]
fn a_relative_folder_is_followed_and_an_open_file_left_alone_for_longer_than_a_broken_one() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let mut command = Host::command(Path::new("plugins"));
    command.current_dir(place.folder.path()).args(["--manifests", "manifests"]);
    let host = Host::spawn(command);
    host.line("default/a: main");
    host.settled();
    let bytes = variation(1);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut file = File::create(place.plugins.join("print-containers.wasm")).unwrap();
    file.write_all(first).unwrap();
    // Longer than a file at rest has until it is called broken.
    sleep(Duration::from_millis(3500));
    file.write_all(second).unwrap();
    drop(file);
    reloaded(&host);
    assert_eq!((in_force(&host), refused(&host)), (2, vec![]));
    host.stop();
}

#[test]
fn compiled_plugins_are_kept_and_a_corrupt_entry_is_compiled_again() {
    let place = Workplace::new();
    place.plugin("print-containers", &plugins::print_containers());
    place.object(&replica_set("a", &["main"]));
    let cache = place.folder.path().join("cache");
    let once = || place.run_once(&["--cache-dir", cache.to_str().unwrap()]);
    let entries = || fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    once();
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let [entry] = &entries()[..] else { panic!("one entry: {:?}", entries()) };
    let good = fs::read(entry).unwrap();

    fs::write(entry, &good[..good.len() - 1]).unwrap();
    let finished = once();
    assert_eq!(finished.stdout, ["default/a: main"]);
    finished.log("is corrupt or foreign, compiling again");
    assert_eq!(fs::read(entry).unwrap(), good, "it is kept again");
    let finished = once();
    assert!(finished.stderr.iter().all(|line| !line.contains("corrupt")), "{finished}");
    assert!(fs::read_dir(&place.plugins).unwrap().count() == 1, "nothing is kept in the plugin folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_whose_loading_panics_is_refused_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    write_whole(&folder.path().join("probe.wasm"), &plugins::probe(1));
    // A time that no clock can hold, which the command line does not let through.
    let limits = Limits { wall: Duration::MAX, ..Limits::default() };
    let loader = Loader::new(Engine::new().unwrap(), Compiler::Thread, AotCache::off(), limits);
    let timing = Timing { debounce: Duration::from_millis(100), poll: Duration::ZERO };
    let (sender, mut changes) = tokio::sync::mpsc::channel(16);
    let (_undo, undone) = tokio::sync::mpsc::unbounded_channel();
    let reload = Reload::new(folder.path(), timing, Duration::ZERO, loader, Arc::default(), (sender, undone)).unwrap();
    tokio::spawn(reload.run());
    let Some(Change::Failed { name, reason, .. }) = changes.recv().await else { panic!("it is refused") };
    assert_eq!(&*name, "probe");
    assert!(reason.starts_with("loading it panicked"), "{reason}");
    assert!(matches!(changes.recv().await, Some(Change::Started)), "and holds nothing up");
}

/// The process that is a child of the host.
fn child_of(host: &Host) -> Option<u32> {
    let parent = format!("PPid:\t{}\n", host.pid());
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child =
        |pid: &u32| fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| text.contains(&parent));
    processes.into_iter().find(is_child)
}

#[test]
fn a_compiler_that_somebody_kills_is_run_again_after_a_while() {
    let place = Workplace::new();
    place.plugin("slow", &plugins::hard_to_compile(300, 5000));
    place.object(&replica_set("a", &["main"]));
    let host = place.run(&["--cache-dir", "off", "--poll-interval", "0s"]);
    let compiler = poll("compiler", || child_of(&host));
    assert!(Command::new("kill").arg("-KILL").arg(compiler.to_string()).status().unwrap().success());
    host.log("slow.wasm is refused, there is no other version of it: the compiler was killed");
    poll_for(4 * DEADLINE, "version in force", || (in_force(&host) == 1).then_some(()));
    assert_eq!(refused(&host).len(), 1);
    host.stop();
}
