//! The network between a server and who calls it, which a test can cut and heal. What passes is
//! TCP: it is cut in the middle of requests and answers alike.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a network is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Connections are reset and none can be made.
    Reset,
    /// Nothing passes. What was sent arrives once the network is whole again, however late: by then
    /// its sender may have given up and asked anew.
    Held,
    /// Requests arrive, answers do not.
    AnswersLost,
}

/// A proxy for one server. Dropping it ends it; connections end when either side closes them.
pub struct Proxy {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

struct Shared {
    state: Mutex<State>,
    healed: Condvar,
}

struct State {
    /// Where the server listens now.
    server: SocketAddr,
    cut: Option<Cut>,
    /// Both ends of every connection since the last reset.
    open: Vec<TcpStream>,
    closed: bool,
}

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

impl Proxy {
    /// Before the first [`Self::point_at`] nothing can be reached.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = State { server: addr, cut: Some(Cut::Reset), open: Vec::new(), closed: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), healed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { shared, addr }
    }

    /// The URL to call the server by.
    pub fn base(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// New connections go to `SCHEME://HOST:PORT` from now on; the network is whole.
    pub fn point_at(&self, base: &str) {
        let server = base.split_once("://").and_then(|(_, addr)| addr.parse().ok());
        self.shared.lock().server = server.unwrap();
        self.heal();
    }

    pub fn cut(&self, cut: Cut) {
        let mut state = self.shared.lock();
        state.cut = Some(cut);
        if cut == Cut::Reset {
            state.reset();
        }
    }

    /// After lost answers a connection cannot go on: it is reset.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        if state.cut == Some(Cut::AnswersLost) {
            state.reset();
        }
        state.cut = None;
        self.shared.healed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.reset();
        self.shared.healed.notify_all();
        drop(state);
        // Wakes the thread that accepts.
        let _gone = TcpStream::connect(self.addr);
    }
}

impl State {
    fn reset(&mut self) {
        for stream in self.open.drain(..) {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether bytes of this way may pass: waits while they are held.
    fn passes(&self, way: Way) -> bool {
        let mut state = self.lock();
        while state.cut == Some(Cut::Held) && !state.closed {
            state = self.healed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match state.cut {
            Some(Cut::AnswersLost) => way == Way::Up,
            Some(_) => false,
            None => !state.closed,
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming().flatten() {
        if shared.lock().closed {
            return;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || connect(client, &shared));
    }
}

fn connect(client: TcpStream, shared: &Arc<Shared>) {
    let pair = || Some((client.try_clone().ok()?, client.try_clone().ok()?));
    let Some((client_up, client_down)) = pair() else { return };
    if !shared.passes(Way::Up) {
        let _closed = client.shutdown(Shutdown::Both);
        return;
    }
    let server = shared.lock().server;
    let Ok(server) = TcpStream::connect_timeout(&server, Duration::from_secs(2)) else {
        let _closed = client.shutdown(Shutdown::Both);
        return;
    };
    let _fast = (client.set_nodelay(true), server.set_nodelay(true));
    let (Ok(server_up), Ok(server_down)) = (server.try_clone(), server.try_clone()) else { return };
    {
        let mut state = shared.lock();
        // Those that ended long ago go, or the list would grow for ever.
        if state.open.len() >= 512 {
            state.open.retain(|stream| stream.peer_addr().is_ok());
        }
        state.open.extend([client, server]);
    }
    let back = Arc::clone(shared);
    std::thread::spawn(move || pump(server_down, client_down, &back, Way::Down));
    pump(client_up, server_up, shared, Way::Up);
}

/// Passes bytes on until one side closes or the network is cut.
fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared, way: Way) {
    let mut bytes = vec![0; 16 << 10];
    let mut lost = false;
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        // Once bytes were lost none that follow can pass.
        lost |= !shared.passes(way);
        if !lost && to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with the next one.
    fn server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        let _sent = stream.write_all(&[byte[0] + 1]);
                    }
                });
            }
        });
        format!("http://{addr}")
    }

    fn call(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        stream
    }

    fn ask(stream: &mut TcpStream, byte: u8) -> Option<u8> {
        stream.write_all(&[byte]).ok()?;
        answer(stream)
    }

    fn answer(stream: &mut TcpStream) -> Option<u8> {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok().map(|()| byte[0])
    }

    #[test]
    fn each_cut_is_what_it_says() {
        let proxy = Proxy::start();
        proxy.point_at(&server());
        let mut stream = call(&proxy);
        assert_eq!(ask(&mut stream, 1), Some(2));

        proxy.cut(Cut::Held);
        assert_eq!(ask(&mut stream, 3), None);
        proxy.heal();
        assert_eq!(answer(&mut stream), Some(4), "late, not lost");

        proxy.cut(Cut::AnswersLost);
        assert_eq!(ask(&mut stream, 5), None);
        proxy.heal();
        assert_eq!(ask(&mut stream, 7), None, "a connection that lost bytes is dead");

        let mut stream = call(&proxy);
        assert_eq!(ask(&mut stream, 7), Some(8));
        proxy.cut(Cut::Reset);
        assert_eq!(ask(&mut stream, 9), None);
        assert_eq!(ask(&mut call(&proxy), 9), None);
        proxy.heal();
        assert_eq!(ask(&mut call(&proxy), 9), Some(10));
    }
}
