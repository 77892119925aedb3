//! One end of the socket between host and worker.
//!
//! Waking the other process costs more than a frame does. So frames gather, and a task of their own writes all that
//! the tasks which are ready to run have to say at once. Bodies are handed to the kernel from where they lie, large
//! ones a piece at a time and in turns, so that none holds up another call.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, IoSlice},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::frame::{Frame, HEAD, Kind, Malformed, put_head, put_size};

/// Bytes of a body that go into one frame.
pub(super) const PIECE: usize = 128 * 1024;

/// Bytes that are copied next to their frame's head; more of them are cheaper to pass by reference.
const COPIED: usize = 4 * 1024;

/// Bytes that are asked for at once.
const CHUNK: usize = 16 * 1024;

/// Bytes that may wait before those who can wait are made to.
const ROOM: usize = 4 * 1024 * 1024;

/// Whether to let other threads run before a batch goes out. Where one that makes frames shares the writer's processor,
/// what the writer sends wakes the other process, which then takes its turn with a single frame, and so on: each frame
/// costs the switches that could have served them all. Where nothing comes of it, it is hardly ever tried.
#[derive(Debug, Default)]
struct Patience {
    /// Batches that go out at once before it is tried again.
    left: u32,
    /// How many these were the last time.
    pause: u32,
}

impl Patience {
    /// The longest pause: what is tried in vain costs nearly nothing then.
    const LONGEST: u32 = 63;

    fn is_due(&mut self) -> bool {
        let due = self.left == 0;
        self.left = self.left.saturating_sub(1);
        due
    }

    /// Whether it brought frames.
    fn learn(&mut self, brought: bool) {
        self.pause = if brought { 0 } else { (2 * self.pause + 1).min(Self::LONGEST) };
        self.left = self.pause;
    }
}

/// What the process has to say to the other one.
#[derive(Debug, Default)]
pub(super) struct Link {
    outbox: Mutex<Outbox>,
    /// The outbox has become smaller.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Outbox {
    /// Frames, and bodies between them.
    parts: VecDeque<Bytes>,
    /// The newest frames.
    last: BytesMut,
    /// Bytes in both.
    size: usize,
    /// Whole bodies that go out in pieces, each in its turn.
    bodies: VecDeque<(u32, Bytes)>,
    writer: Option<Waker>,
    /// The writer has a batch that has not gone out yet.
    writing: bool,
    /// Threads that wait for the outbox to become smaller.
    waiting: usize,
    /// Nobody listens any more.
    closed: bool,
}

impl Outbox {
    fn cut(&mut self) {
        if !self.last.is_empty() {
            self.parts.push_back(self.last.split().freeze());
        }
    }

    fn is_empty(&self) -> bool {
        self.size == 0 && self.bodies.is_empty()
    }
}

impl Link {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a frame whose payload `put` writes.
    pub(super) fn send(&self, kind: Kind, call: u32, put: impl FnOnce(&mut BytesMut)) {
        self.send_with(kind, call, put, Bytes::new());
    }

    /// The same with `tail` after what `put` writes.
    pub(super) fn send_with(&self, kind: Kind, call: u32, put: impl FnOnce(&mut BytesMut), tail: Bytes) {
        let mut outbox = self.outbox();
        if outbox.closed {
            return;
        }
        let begin = outbox.last.len();
        put_head(&mut outbox.last, kind, call, 0);
        put(&mut outbox.last);
        // The length is known only now.
        let size = outbox.last.len() - begin - HEAD + tail.len();
        put_size(&mut outbox.last[begin..], size);
        if tail.len() <= COPIED {
            outbox.last.extend_from_slice(&tail);
        } else {
            outbox.cut();
            outbox.parts.push_back(tail);
        }
        outbox.size += HEAD + size;
        wake(outbox);
    }

    /// Sends a whole body after its head, in pieces and by and by.
    pub(super) fn send_body(&self, call: u32, body: Bytes) {
        let mut outbox = self.outbox();
        if !outbox.closed {
            outbox.bodies.push_back((call, body));
            wake(outbox);
        }
    }

    /// Blocks while so much waits that more would be unwise; for threads that may wait.
    pub(super) fn wait_for_room(&self) {
        let full = |outbox: &mut Outbox| outbox.size > ROOM && !outbox.closed;
        let mut outbox = self.outbox();
        outbox.waiting += 1;
        let outbox = self.written.wait_while(outbox, full);
        outbox.unwrap_or_else(PoisonError::into_inner).waiting -= 1;
    }

    /// Waits until everything has been handed to the kernel, but no longer than `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let unwritten = |outbox: &mut Outbox| !outbox.closed && (outbox.writing || !outbox.is_empty());
        let mut outbox = self.outbox();
        outbox.waiting += 1;
        let outbox = self.written.wait_timeout_while(outbox, patience, unwritten);
        outbox.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
    }

    /// Nothing more is sent.
    pub(super) fn close(&self) {
        let mut outbox = self.outbox();
        outbox.closed = true;
        outbox.parts.clear();
        outbox.last.clear();
        outbox.bodies.clear();
        outbox.size = 0;
        self.written.notify_all();
        wake(outbox);
    }

    /// Takes what is to be written next; an empty batch means that nothing ever will.
    async fn next_batch(&self, batch: &mut VecDeque<Bytes>, patience: &mut Patience) {
        let something = poll_fn(|cx| {
            let mut outbox = self.outbox();
            outbox.writing = false;
            // This is a system call, whether or not anybody waits.
            if outbox.waiting > 0 {
                self.written.notify_all();
            }
            if outbox.closed || !outbox.is_empty() {
                outbox.writing = true;
                return Poll::Ready(());
            }
            match &mut outbox.writer {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            Poll::Pending
        });
        something.await;
        // Whoever is ready to run may have something to add.
        tokio::task::yield_now().await;
        if patience.is_due() {
            let before = self.outbox().size;
            thread::yield_now();
            tokio::task::yield_now().await;
            patience.learn(self.outbox().size > before);
        }
        let mut outbox = self.outbox();
        outbox.cut();
        mem::swap(batch, &mut outbox.parts);
        outbox.size = 0;
        if let Some((call, mut body)) = outbox.bodies.pop_front() {
            let piece = body.split_to(body.len().min(PIECE));
            let mut head = BytesMut::with_capacity(HEAD);
            put_head(&mut head, Kind::Piece, call, piece.len());
            batch.extend([head.freeze(), piece]);
            if !body.is_empty() {
                outbox.bodies.push_back((call, body));
            }
        }
    }

    async fn write_for_ever(&self, mut socket: OwnedWriteHalf) -> io::Result<()> {
        let (mut batch, mut patience) = (VecDeque::new(), Patience::default());
        loop {
            self.next_batch(&mut batch, &mut patience).await;
            if batch.is_empty() {
                return Ok(());
            }
            while let Some(first) = batch.front_mut() {
                let written = if first.len() >= PIECE || batch.len() == 1 {
                    socket.write(&batch[0]).await?
                } else {
                    let slices: Vec<IoSlice<'_>> =
                        batch.iter().take(64).map(|part| IoSlice::new(part)).collect();
                    socket.write_vectored(&slices).await?
                };
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                advance(&mut batch, written);
            }
        }
    }
}

fn wake(mut outbox: MutexGuard<'_, Outbox>) {
    let writer = outbox.writer.take();
    drop(outbox);
    if let Some(writer) = writer {
        writer.wake();
    }
}

fn advance(batch: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = batch.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        batch.pop_front();
    }
}

/// Runs both directions of `socket` until the other end has gone or talks nonsense. `take` gets every frame that
/// comes; what it refuses is nonsense too.
pub(super) async fn run(
    link: Arc<Link>,
    socket: UnixStream,
    take: impl FnMut(Frame) -> Result<(), Malformed>,
) -> io::Result<()> {
    let (reads, writes) = socket.into_split();
    let writer = link.clone();
    let writing = tokio::spawn(async move {
        let written = writer.write_for_ever(writes).await;
        writer.close();
        written
    });
    let read = read_for_ever(reads, take).await;
    link.close();
    writing.abort();
    read
}

async fn read_for_ever(
    mut socket: OwnedReadHalf,
    mut take: impl FnMut(Frame) -> Result<(), Malformed>,
) -> io::Result<()> {
    let nonsense = |_| io::Error::new(io::ErrorKind::InvalidData, "it sent what is no frame");
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        let missing = loop {
            match Frame::take(&mut buffer).map_err(nonsense)? {
                Ok(frame) => take(frame).map_err(nonsense)?,
                Err(missing) => break missing,
            }
        };
        buffer.reserve(missing.max(CHUNK));
        if socket.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut as _;
    use tokio::sync::mpsc;

    use super::*;

    /// Two ends; what arrives at the second comes through the channel.
    fn connected() -> (Arc<Link>, mpsc::UnboundedReceiver<(Kind, u32, Bytes)>) {
        let (here, there) = UnixStream::pair().unwrap();
        let link = Arc::new(Link::default());
        tokio::spawn(run(link.clone(), here, |_| Ok(())));
        let (frames, arrived) = mpsc::unbounded_channel();
        tokio::spawn(run(Arc::default(), there, move |mut frame| {
            let _ = frames.send((frame.kind, frame.call, frame.payload.rest()));
            Ok(())
        }));
        (link, arrived)
    }

    #[tokio::test]
    async fn frames_arrive_whole_and_in_order_whatever_their_size() {
        let (link, mut arrived) = connected();
        let sizes = [0, 1, COPIED, COPIED + 1, CHUNK, 1_000_000, 3];
        for (call, size) in sizes.into_iter().enumerate() {
            link.send_with(
                Kind::Piece,
                call as u32,
                |buffer| buffer.put_u8(7),
                vec![call as u8; size].into(),
            );
        }
        for (call, size) in sizes.into_iter().enumerate() {
            let (kind, number, payload) = arrived.recv().await.unwrap();
            assert_eq!((kind, number as usize, payload.len()), (Kind::Piece, call, size + 1));
            assert!(payload[0] == 7 && payload[1..].iter().all(|byte| *byte == call as u8));
        }
    }

    #[test]
    fn what_brings_nothing_is_tried_less_and_less() {
        let mut patience = Patience::default();
        assert!(patience.is_due());
        let mut pause = |brought| {
            patience.learn(brought);
            (0..).take_while(|_| !patience.is_due()).count() as u32
        };
        assert_eq!([true, false, false, true, false].map(&mut pause), [0, 1, 3, 0, 1]);
        assert_eq!([false; 9].map(pause).last(), Some(&Patience::LONGEST));
    }

    #[tokio::test]
    async fn large_bodies_take_turns_and_let_others_pass() {
        let (link, mut arrived) = connected();
        for call in [1, 2] {
            link.send_body(call, vec![call as u8; 3 * PIECE + 5].into());
        }
        let first = arrived.recv().await.unwrap();
        assert_eq!((first.1, first.2.len()), (1, PIECE));
        link.send(Kind::Cancel, 3, |buffer| buffer.put_u8(0));
        let mut order = Vec::new();
        while order.len() < 8 {
            let (_, call, piece) = arrived.recv().await.unwrap();
            assert!(piece.len() <= PIECE);
            order.push(call);
        }
        assert!(order.iter().position(|call| *call == 3).unwrap() < 5, "{order:?}");
        assert_eq!(order.iter().filter(|call| **call == 2).count(), 4, "{order:?}");
    }

    #[tokio::test]
    async fn nothing_waits_for_an_end_that_has_gone() {
        let (here, there) = UnixStream::pair().unwrap();
        let link = Arc::new(Link::default());
        drop(there);
        run(link.clone(), here, |_| Ok(())).await.unwrap_or_default();
        link.send_with(Kind::Piece, 1, |_| {}, vec![0; 2 * ROOM].into());
        link.wait_for_room();
        link.flush(Duration::from_secs(60));
    }
}
