#!/bin/sh
# Sends three requests with curl: the most likely next words, a continuation, a stream.
# UNROLL_URL is the address of the service; start one with `make serve`.
set -eu
url=${UNROLL_URL:-http://127.0.0.1:8000}

post() { # ROUTE BODY
  curl --silent --show-error --fail-with-body --no-buffer "$url/$1" \
    --header 'Content-Type: application/json' --data "$2"
  echo
}

echo '# Next words'
post next-word '{"prompt": "The people of the", "top": 3}'

echo '# A continuation: the same seed gives the same text'
post generate '{"prompt": "The people of the", "max_tokens": 12, "temperature": 0.7, "seed": 1}'

echo '# The same as a stream of server-sent events'
post generate '{"prompt": "The people of the", "max_tokens": 12, "temperature": 0.7, "seed": 1, "stream": true}'
