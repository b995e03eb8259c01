//! Prints its version and the object it is called for, with the annotation `probe-counter` where there is one, then does
//! what the annotation `probe` says.

mod ask;
mod excess;

use std::hash::{BuildHasher as _, RandomState};
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use oarlock_sdk::{
    Action, Description, Failure, Object, ObjectRef, Outcome, Request, Value, Watch, cluster, json, log, reconciler,
};
use serde::Deserialize;

/// What a grant file may set.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    finalizer: Option<String>,
    /// A kind of v1 to own.
    owns: Option<String>,
    /// How many kinds more to own.
    owns_more: u32,
    /// Stands for the annotation `probe` of every object.
    mode: Option<String>,
    /// Stands for `VALUE` in what the annotation `ask` says.
    value: String,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();

/// How often this instance was called.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// The tests make other versions by putting another number in the built module.
static VERSION: &str = "version-0000";

/// The log tells at once that a call begins and ends, while what it prints comes out at its end.
fn reconcile(request: &Request) -> Result<Outcome, Failure> {
    log::info(format!("{VERSION} begins {}", request.target));
    CALLS.fetch_add(1, Ordering::Relaxed);
    let answer = act(request);
    log::info(format!("{VERSION} ends {}", request.target));
    if let Some(object) = &request.object
        && annotation(object, "probe")? == Some("trap-at-end")
    {
        std::process::abort();
    }
    answer
}

fn describe(settings: Option<&str>) -> Result<Description, String> {
    if let Some(json) = settings {
        let settings = serde_json::from_str(json).map_err(|error| format!("settings: {error}"))?;
        SETTINGS.get_or_init(|| settings);
    }
    let replica_sets = Watch::all("apps/v1", "ReplicaSet");
    let mut description = Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), vec![replica_sets]);
    let Settings { finalizer, owns, owns_more, .. } = SETTINGS.get_or_init(Settings::default);
    description.finalizer.clone_from(finalizer);
    description.owns.extend(owns.iter().map(|kind| Watch::all("v1", kind)));
    description.owns.extend((0..*owns_more).map(|number| Watch::all("v1", format!("Kind{number}"))));
    Ok(description)
}

fn act(request: &Request) -> Result<Outcome, Failure> {
    let Request { target, object, attempt, .. } = request;
    let Some(object) = object else {
        println!("{VERSION} {target} gone");
        return Ok(Outcome::done());
    };
    if request.deleting {
        println!("{VERSION} {target} deleting");
        while annotation(object, "probe")? == Some("loop-at-deletion") {
            black_box(0);
        }
        return Ok(Outcome::done());
    }
    let mode = SETTINGS.get().and_then(|settings| settings.mode.as_deref()).or(annotation(object, "probe")?);
    let counter = annotation(object, "probe-counter")?.map(|counter| format!(" counter {counter}")).unwrap_or_default();
    println!("{VERSION} {target} {} attempt {attempt}{counter}", mode.unwrap_or("-"));
    match mode {
        Some("remember") => println!("call {} of the instance", CALLS.load(Ordering::Relaxed)),
        Some("dump") => println!("{}", object.as_str()),
        Some("loop") => loop {
            black_box(0);
        },
        Some("trap") => std::process::abort(),
        Some(mode) if mode.strip_prefix("trap-in ") == Some(black_box(VERSION)) => std::process::abort(),
        Some("panic") => panic!("as asked"),
        Some("sleep") => thread::sleep(Duration::from_hours(1)),
        Some("nap") => thread::sleep(Duration::from_secs(2)),
        Some("blink") => thread::sleep(Duration::from_millis(5)),
        Some("exit") => std::process::exit(3),
        Some("retry") => return Err(Failure::retry("not yet")),
        Some("once-more") if *attempt < 3 => return Err(Failure::retry("not yet")),
        Some("terminal") => return Err(Failure::terminal("never")),
        Some("requeue") => return Ok(Outcome::requeue_after(Duration::from_millis(50))),
        Some("later") => return Ok(Outcome::requeue_after(Duration::from_hours(1))),
        Some("apply") => return Ok(Outcome::done().apply(&config_map(target))),
        Some("not-json") => {
            return Ok(Outcome::done().apply(&config_map(target)).action(Action::Apply("{".into())));
        }
        Some("no-name") => {
            let nameless = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default"}});
            return Ok(Outcome::done().apply(&config_map(target)).apply(&nameless));
        }
        Some("child-elsewhere") => {
            let mut child = config_map(target);
            child["metadata"]["namespace"] = "elsewhere".into();
            return Ok(Outcome::done().apply(&config_map(target)).children([config_map(target), child]));
        }
        Some("get") => drop(cluster::get(target)?),
        Some("list-for-ever") => loop {
            cluster::list(&Watch::all("v1", "ConfigMap").labels("absent=yes"))?;
        },
        Some("get-anyway") => {
            println!("got: {}", cluster::get(target).is_ok());
            return Ok(Outcome::done().apply(&config_map(target)));
        }
        Some("read") => {
            let one = cluster::get(&ObjectRef::new("v1", "ConfigMap", "one").in_namespace("shared"))?;
            let says: Option<&str> = one.as_ref().map_or(Ok(None), |one| one.at("/data/says"))?;
            let some = cluster::list(&Watch::all("v1", "ConfigMap").labels("listed=yes"))?;
            let names = some.iter().map(|config| config.reference().map(|reference| reference.to_string()));
            println!("one says {says:?}, listed are {:?}", names.collect::<Result<Vec<_>, _>>()?);
        }
        Some("ask") => return ask::for_all(&object.at::<String>("/metadata/annotations/ask")?),
        Some("count") => return ask::to_count(target),
        Some("log") => {
            log::debug("at debug");
            log::info("at info");
            log::warn("at warn");
            log::error("at error");
        }
        Some("say-log") => log::warn(said(object)?),
        Some("say-stderr") => eprintln!("{}", said(object)?),
        Some("say-failure") => return Err(Failure::terminal(said(object)?)),
        Some("say-event") => return Ok(Outcome::done().event("Said", said(object)?)),
        Some("reach") => {
            let (variables, folder) = (std::env::vars().count(), std::fs::read_dir("/").is_ok());
            println!("variables: {variables}, folder: {folder}");
            let (then, now) = (Instant::now(), SystemTime::now());
            thread::sleep(Duration::from_millis(1));
            let clock = then.elapsed() >= Duration::from_millis(1) && now > UNIX_EPOCH + Duration::from_hours(24 * 365);
            let random = RandomState::new().hash_one(0) != RandomState::new().hash_one(0);
            println!("clock: {clock}, random: {random}");
        }
        Some("mirror") => return mirror(target, object),
        Some("partial") => print!("no line feed"),
        Some(mode) => return Ok(excess::of(mode)),
        None => {}
    }
    Ok(Outcome::done())
}

/// Copies `data.value` of a ConfigMap to `data.seen`, where it is another, and says by whose settings it did so.
fn mirror(target: &ObjectRef, object: &Object) -> Result<Outcome, Failure> {
    let value: String = object.at("/data/value")?;
    if object.at::<Option<String>>("/data/seen")?.as_deref() == Some(&*value) {
        return Ok(Outcome::done());
    }
    let by = SETTINGS.get().map(|settings| &*settings.value).unwrap_or_default();
    Ok(Outcome::done().merge_patch(target.clone(), &json!({"data": {"seen": value, "by": by}})))
}

/// One of the same name.
fn config_map(target: &ObjectRef) -> Value {
    let metadata = json!({"namespace": target.namespace, "name": target.name});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"by": VERSION}})
}

/// What the annotation `say` has it say.
fn said(object: &Object) -> Result<String, Failure> {
    object.at("/metadata/annotations/say")
}

fn annotation<'a>(object: &'a Object, name: &str) -> Result<Option<&'a str>, Failure> {
    object.at(&format!("/metadata/annotations/{name}"))
}

reconciler!(reconcile, describe = describe);
