//! A way to the API server that can be cut, so that it goes silent without a word, as a broken network does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often it is looked whether the way is cut.
const LOOK: Duration = Duration::from_millis(20);

/// Passes connections on for as long as the process runs.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Proxy {
    /// A way to that port of 127.0.0.1.
    pub(crate) fn to(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_cut = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&is_cut);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, cut) = (client.unwrap(), Arc::clone(&cut));
                thread::spawn(move || {
                    while cut.load(Ordering::SeqCst) {
                        thread::sleep(LOOK);
                    }
                    // It is not there if the API server is not.
                    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) else { return };
                    let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                    let back = Arc::clone(&cut);
                    thread::spawn(move || pass(server, to_client, &back));
                    pass(client, to_server, &cut);
                });
            }
        });
        Self { port, is_cut }
    }

    /// From now on nothing comes through, and nobody is told.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// New connections come through again. What was on its way is lost, and the connections of before end.
    pub(crate) fn mend(&self) {
        self.is_cut.store(false, Ordering::SeqCst);
    }
}

/// Passes on what comes, until the way is cut.
fn pass(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    from.set_read_timeout(Some(LOOK)).unwrap();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut buffer);
        if cut.load(Ordering::SeqCst) {
            while cut.load(Ordering::SeqCst) {
                thread::sleep(LOOK);
            }
            break;
        }
        match read {
            Ok(0) => break,
            Ok(length) if to.write_all(&buffer[..length]).is_ok() => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(_) | Err(_) => break,
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
