//! The floor: receive, turn the header round, append one record, send. One thread and one socket per worker.
//!
//! It parses nothing, so it answers every question with the same address; its answers have the length of the
//! others'. Less work than this leaves no answer.

use std::net::{SocketAddr, UdpSocket};

use super::{Result, shared_socket};

/// A pointer to the question's name, type A, class IN, 300 seconds, four bytes: 192.0.2.1.
const RECORD: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0x01, 0x2c, 0, 4, 192, 0, 2, 1];
/// Length of a header.
const HEADER: usize = 12;

/// Answers until it is killed.
pub fn serve(address: SocketAddr, workers: usize) -> Result<()> {
    let mut threads = Vec::new();
    for _ in 0..workers {
        let socket = UdpSocket::from(shared_socket(address)?);
        threads.push(std::thread::spawn(move || answer(&socket)));
    }
    for thread in threads {
        thread.join().map_err(|_| "a worker panicked")??;
    }
    Ok(())
}

fn answer(socket: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = [0; 512 + RECORD.len()];
    loop {
        let (length, client) = socket.recv_from(&mut buffer[..512])?;
        if length < HEADER {
            continue;
        }
        buffer[2] |= 0x84; // QR and AA
        buffer[7] = 1; // one answer
        let end = length + RECORD.len();
        buffer[length..end].copy_from_slice(&RECORD);
        socket.send_to(&buffer[..end], client)?;
    }
}
