//! What a call finds in place of a host: a cluster to read, and a log.

use std::cell::RefCell;

use serde::Serialize;

use super::{Level, selector};
use crate::{Object, ObjectRef, Value, Watch};

thread_local! {
    /// Around the call that this thread is in.
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// The cluster and the log of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    objects: Vec<Value>,
    /// Why reads fail. None: they do not.
    pub(super) fault: Option<String>,
    log: Vec<(Level, String)>,
}

impl World {
    /// Adds an object that has a name.
    #[track_caller]
    pub(super) fn add(&mut self, object: Value) {
        reference(&object);
        self.objects.push(object);
    }

    /// Adds what was checked before.
    pub(super) fn extend(&mut self, objects: impl IntoIterator<Item = Value>) {
        self.objects.extend(objects);
    }

    /// Runs a part of a call in this world; gives what it returns and what it has logged.
    pub(super) fn enter<T>(self, part: impl FnOnce() -> T) -> (T, Vec<(Level, String)>) {
        WORLD.set(Some(self));
        let returned = part();
        (returned, WORLD.take().unwrap_or_default().log)
    }

    fn select(&self, selection: &Watch) -> Result<Vec<&Value>, String> {
        if let Some(reason) = &self.fault {
            return Err(reason.clone());
        }
        let mut selected = Vec::new();
        for object in &self.objects {
            if selector::selects(selection, object)? {
                selected.push(object);
            }
        }
        selected.sort_by_key(|object| ["namespace", "name"].map(|part| object["metadata"][part].as_str()));
        Ok(selected)
    }
}

/// The host's side of `cluster::get`.
pub(crate) fn get(target: &ObjectRef) -> Result<Option<String>, String> {
    let ObjectRef { api_version, kind, namespace, name } = target;
    let kind = Watch { namespace: namespace.clone(), ..Watch::all(api_version, kind) };
    inside(|world| {
        let found = world.select(&kind)?.into_iter().find(|object| {
            object["metadata"]["name"] == **name && object["metadata"]["namespace"].as_str() == namespace.as_deref()
        });
        Ok(found.map(Value::to_string))
    })
}

/// The host's side of `cluster::list`.
pub(crate) fn list(selection: &Watch) -> Result<Vec<String>, String> {
    inside(|world| Ok(world.select(selection)?.into_iter().map(Value::to_string).collect()))
}

/// The host's side of `log`. Outside of a call, messages go to stderr.
pub(crate) fn log(level: Level, message: &str) {
    WORLD.with_borrow_mut(|world| match world {
        Some(world) => world.log.push((level, message.to_owned())),
        None => eprintln!("{level:?}: {message}"),
    });
}

fn inside<T>(read: impl FnOnce(&World) -> Result<T, String>) -> Result<T, String> {
    WORLD.with_borrow(|world| match world {
        Some(world) => read(world),
        None => Err("there is no cluster to read: in a test, make the call with oarlock_sdk::testing::Call".into()),
    })
}

#[track_caller]
pub(super) fn value(object: &impl Serialize) -> Value {
    match serde_json::to_value(object) {
        Ok(value) => value,
        Err(error) => panic!("this cannot be written as JSON: {error}"),
    }
}

#[track_caller]
pub(super) fn reference(object: &Value) -> ObjectRef {
    match Object::new(object.to_string()).reference() {
        Ok(reference) => reference,
        Err(failure) => panic!("this is no object: {failure:?}: {object}"),
    }
}
