-- SPDX-License-Identifier: AGPL-3.0-or-later
-- wrk: POST with an API key (BENCH_KEY) and a JSON body (BENCH_BODY), in which each @ becomes a running number; lines of it
-- are bodies that are sent in turns. The last line it prints is one JSON object. A reply that reports an error in its body counts as one.

local body = os.getenv("BENCH_BODY")
local number = 0
local threads = {}
errors = 0

local function base64(text)
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = text:byte(i, i + 2)
    local bits = a * 65536 + (b or 0) * 256 + (c or 0)
    local digits = { math.floor(bits / 262144), math.floor(bits / 4096) % 64, math.floor(bits / 64) % 64, bits % 64 }
    for j = 1, 4 do
      local pad = (j == 3 and not b) or (j == 4 and not c)
      out[#out + 1] = pad and "=" or alphabet:sub(digits[j] + 1, digits[j] + 1)
    end
  end
  return table.concat(out)
end

wrk.method = "POST"
wrk.headers["Authorization"] = "Basic " .. base64(os.getenv("BENCH_KEY") .. ":")
if body ~= "" then
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = body
end

function setup(thread)
  threads[#threads + 1] = thread
end

-- A request that is the same each time is built once; one with a running number, each time.
if body:find("@", 1, true) then
  function request()
    number = number + 1
    return wrk.format(nil, nil, nil, (body:gsub("@", tostring(number))))
  end
elseif body:find("\n", 1, true) then
  local requests = {}
  function init()
    for line in body:gmatch("[^\n]+") do
      requests[#requests + 1] = wrk.format(nil, nil, nil, line)
    end
  end
  function request()
    number = number % #requests + 1
    return requests[number]
  end
end

function response(status, _, text)
  if status ~= 200 or text:find('"event":"error"', 1, true) or text:sub(1, 9) == '{"error":' then
    errors = errors + 1
  end
end

function done(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  for _, thread in ipairs(threads) do
    failed = failed + thread:get("errors")
  end
  print(string.format('{"requests": %d, "errors": %d, "p50_us": %d, "per_s": %.1f}', summary.requests, failed,
    latency:percentile(50), summary.requests / summary.duration * 1e6))
end
