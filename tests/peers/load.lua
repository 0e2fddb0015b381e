-- wrk's script: sends prepared requests in turn, and ends after so many answers where a limit is given.
--
-- wrk ... -s load.lua URL -- REQUESTS LIMIT [PATTERN CAPTURED]
-- REQUESTS: a file of records, each `<length>\n<that many bytes>`, the bytes a whole request. LIMIT: 0 is none.
-- PATTERN: the part of each answer's body that is written to CAPTURED, a line each.

local ffi = require("ffi")
ffi.cdef[[
typedef struct { long seconds; long nanoseconds; } rescind_time;
int clock_gettime(int clock, rescind_time *time);
void _exit(int status);
]]

local MONOTONIC = 1
local time = ffi.new("rescind_time")

local function now()
    ffi.C.clock_gettime(MONOTONIC, time)
    return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

local requests, at, began, answered, failed, limit = {}, 0, nil, 0, 0, 0
local captured

local function tell(operations, seconds, failures, bytes)
    print(string.format('{"operations":%d,"seconds":%.6f,"failures":%d,"bytes":%d}', operations, seconds, failures, bytes))
end

local function read_requests(path)
    local file = assert(io.open(path, "rb"))
    while true do
        local length = file:read("*l")
        if length == nil then break end
        requests[#requests + 1] = file:read(tonumber(length))
    end
    file:close()
end

local function answer(status, headers, body)
    answered = answered + 1
    if status < 200 or status > 299 then failed = failed + 1 end
    if captured then
        local found = {string.match(body, pattern)}
        if found[1] then captured:write(table.concat(found, " "), "\n") end
    end
    if answered >= limit then
        tell(answered, now() - began, failed, 0)
        if captured then captured:close() end
        io.stdout:flush()
        -- Not by an ordinary exit, which clears up what wrk's main thread still waits with.
        ffi.C._exit(0)
    end
end

function init(args)
    read_requests(args[1])
    limit = tonumber(args[2])
    if limit > 0 then
        response = answer
        pattern = args[3]
        if args[4] then captured = assert(io.open(args[4], "w")) end
    end
end

function request()
    -- wrk asks once before it begins, to see whether the request is whole.
    if at == 1 then began = now() end
    at = at + 1
    return requests[(at - 1) % #requests + 1]
end

function done(summary, latency, taken)
    local errors = summary.errors
    local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    tell(summary.requests, summary.duration / 1e6, failures, summary.bytes)
end
