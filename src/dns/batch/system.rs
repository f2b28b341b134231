//! The two calls of Linux that carry many datagrams (recvmmsg(2), sendmmsg(2)), and the tables that they take. No library
//! offers both without `unsafe`.

use std::io;
use std::mem::zeroed;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::ptr::null_mut;

use libc::{iovec, mmsghdr, sockaddr_storage, socklen_t};
use socket2::{SockAddr, SockAddrStorage};

use super::Datagram;

/// Most datagrams of one call.
pub(super) const AT_ONCE: usize = 32;
/// Longest address, in bytes.
const ADDRESS: socklen_t = size_of::<sockaddr_storage>() as socklen_t;

/// The tables that the calls take: one header, one buffer and one address for each datagram.
pub(super) struct Calls {
    headers: [mmsghdr; AT_ONCE],
    buffers: [iovec; AT_ONCE],
    addresses: [sockaddr_storage; AT_ONCE],
}

impl Calls {
    pub(super) fn new() -> Self {
        // SAFETY: plain C structures, for all of which zeros are a value.
        unsafe { zeroed() }
    }

    pub(super) fn receive(
        &mut self,
        socket: &UdpSocket,
        queries: &mut [Datagram],
    ) -> io::Result<usize> {
        let mut count = 0;
        for (place, query) in queries.iter_mut().enumerate().take(AT_ONCE) {
            let buffer = (query.bytes.as_mut_ptr(), query.bytes.len());
            self.point(place, buffer, (place, ADDRESS));
            count += 1;
        }
        // SAFETY: the first `count` headers were just pointed to buffers and addresses that live across the
        // call, are as long as the headers say, and are written by nobody else (recvmmsg(2)).
        let read = unsafe {
            let headers = self.headers.as_mut_ptr();
            let descriptor = socket.as_raw_fd();
            let flags = libc::MSG_WAITFORONE as _; // u32 with musl, i32 with glibc
            libc::recvmmsg(descriptor, headers, count, flags, null_mut())
        };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        for (place, query) in queries.iter_mut().enumerate().take(read) {
            let header = &self.headers[place];
            query.length = header.msg_len as usize;
            query.source = address(&self.addresses[place], header.msg_hdr.msg_namelen);
        }
        Ok(read)
    }

    /// Replies go to the addresses that the last call to `receive` left.
    pub(super) fn send(
        &mut self,
        socket: &UdpSocket,
        replies: &[(Vec<u8>, usize)],
        queries: &[Datagram],
    ) {
        let count = self.point_to_replies(replies, queries);
        let mut sent = 0;
        while sent < count {
            // SAFETY: the headers from `sent` to `count` were just pointed to replies and addresses that live
            // across the call and are as long as the headers say; nothing is written to but `msg_len`.
            let more = unsafe {
                let headers = self.headers[sent..].as_mut_ptr();
                let (descriptor, rest) = (socket.as_raw_fd(), (count - sent) as u32);
                let flags = libc::MSG_DONTWAIT as _; // as above
                libc::sendmmsg(descriptor, headers, rest, flags)
            };
            match usize::try_from(more) {
                Ok(more) if more > 0 => sent += more,
                _ => {
                    tracing::debug!("replying on UDP: {}", io::Error::last_os_error());
                    sent += 1; // the one that did not go
                }
            }
        }
    }

    /// Points headers to replies and to the addresses of their queries; gives the number of headers.
    fn point_to_replies(&mut self, replies: &[(Vec<u8>, usize)], queries: &[Datagram]) -> usize {
        let replies = replies.iter().take(AT_ONCE);
        for (header, (reply, place)) in replies.clone().enumerate() {
            let source = queries.get(*place).and_then(|query| query.source);
            let length = match source {
                Some(SocketAddr::V4(_)) => size_of::<libc::sockaddr_in>(),
                _ => size_of::<libc::sockaddr_in6>(),
            };
            // sendmmsg(2) only reads the bytes.
            let bytes = (reply.as_ptr().cast_mut(), reply.len());
            self.point(header, bytes, (*place, length as socklen_t));
        }
        replies.len()
    }

    /// Points a header to bytes and to an address.
    fn point(
        &mut self,
        header: usize,
        (bytes, length): (*mut u8, usize),
        (address, address_length): (usize, socklen_t),
    ) {
        let buffer = &mut self.buffers[header];
        buffer.iov_base = bytes.cast();
        buffer.iov_len = length;
        let header = &mut self.headers[header].msg_hdr;
        header.msg_iov = buffer;
        header.msg_iovlen = 1;
        header.msg_name = (&raw mut self.addresses[address]).cast();
        header.msg_namelen = address_length;
    }
}

fn address(storage: &sockaddr_storage, length: socklen_t) -> Option<SocketAddr> {
    if length == 0 || length > ADDRESS {
        return None;
    }
    let mut copy = SockAddrStorage::zeroed();
    // SAFETY: both are the system's storage; the kernel wrote an address of that length, or left the zeros of
    // an unspecified family.
    let address = unsafe {
        *copy.view_as::<sockaddr_storage>() = *storage;
        SockAddr::new(copy, length)
    };
    address.as_socket()
}
