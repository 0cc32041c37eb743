"""What a kernel reads: a stopped process's memory, which a core file holds, under what the block writes."""
import struct

# The upper half of addresses that stand for the block's shared memory.
SHARED = 0x00F00000
SHARED_BYTES = 228 * 1024
LOAD_SEGMENT = 1


class Memory:
    def __init__(self, core_file):
        with open(core_file, "rb") as file:
            self.image = file.read()
        (headers,) = struct.unpack_from("<Q", self.image, 32)
        (count,) = struct.unpack_from("<H", self.image, 56)
        self.segments = []  # (first address, address behind, place in the image)
        for i in range(count):
            kind, _, place, address, _, size = struct.unpack_from("<IIQQQQ", self.image, headers + 56 * i)
            if kind == LOAD_SEGMENT and size:
                self.segments.append((address, address + size, place))
        self.written = {}
        self.shared = bytearray(SHARED_BYTES)

    def read(self, address, size):
        if address >> 32 == SHARED:
            place = address & 0xFFFFFFFF
            return bytes(self.shared[place:place + size])
        return bytes(self.written.get(a, b) for a, b in zip(range(address, address + size), self._host(address, size)))

    def write(self, address, data):
        if address >> 32 == SHARED:
            place = address & 0xFFFFFFFF
            self.shared[place:place + len(data)] = data
        else:
            self.written.update(zip(range(address, address + len(data)), data))

    def _host(self, address, size):
        for first, behind, place in self.segments:
            if first <= address and address + size <= behind:
                return self.image[place + address - first:place + address - first + size]
        return bytes(size)  # of what the process does not have
