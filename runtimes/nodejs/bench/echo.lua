-- For wrk: JSON is sent, and comes back.
wrk.method = 'POST'
wrk.headers['Content-Type'] = 'application/json'
wrk.body = '{"name": "Ada", "born": 1815, "tags": ["mathematician", "writer"], "address": {"city": "London"}}'
