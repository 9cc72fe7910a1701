-- The practice application's data: a booking system with a few hundred rows. Everything is made up.

CREATE TABLE users (
    id         bigint PRIMARY KEY,
    email      text NOT NULL UNIQUE,
    full_name  text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE calendars (
    id       bigint PRIMARY KEY,
    owner_id bigint NOT NULL REFERENCES users,
    name     text NOT NULL,
    timezone text NOT NULL DEFAULT 'UTC'
);

CREATE TABLE bookings (
    id          bigint PRIMARY KEY,
    calendar_id bigint NOT NULL REFERENCES calendars,
    customer_id bigint NOT NULL REFERENCES users,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    status      text NOT NULL CHECK (status IN ('pending', 'confirmed', 'cancelled')),
    CHECK (ends_at > starts_at)
);

CREATE TABLE booking_payments (
    id              bigint PRIMARY KEY,
    booking_id      bigint NOT NULL REFERENCES bookings,
    amount_cents    bigint NOT NULL CHECK (amount_cents >= 0),
    currency        text NOT NULL DEFAULT 'EUR',
    status          text NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    provider_intent text UNIQUE
);

CREATE TABLE webhook_events (
    id           text PRIMARY KEY,
    kind         text NOT NULL,
    payload      jsonb NOT NULL,
    received_at  timestamptz NOT NULL,
    processed_at timestamptz,
    error        text
);

INSERT INTO users
SELECT n, format('user%s@booking.example', n), format('Practice User %s', n), timestamptz '2026-01-01' + n * interval '1 hour'
FROM generate_series(1, 120) AS n;

INSERT INTO calendars SELECT n, n, format('Calendar %s', n) FROM generate_series(1, 20) AS n;

INSERT INTO bookings
SELECT n, 1 + n % 20, 21 + n % 100, timestamptz '2026-10-01 09:00Z' + n * interval '3 hours',
       timestamptz '2026-10-01 10:00Z' + n * interval '3 hours', (ARRAY['confirmed', 'pending', 'cancelled'])[1 + n % 3]
FROM generate_series(1, 400) AS n;

INSERT INTO booking_payments (id, booking_id, amount_cents, status, provider_intent)
SELECT n, n, 2500 + 100 * (n % 40), (ARRAY['succeeded', 'pending'])[1 + n % 2], format('pi_practice_%s', n)
FROM generate_series(1, 300) AS n;

INSERT INTO webhook_events
SELECT format('evt_practice_%s', n), 'payment_intent.succeeded', jsonb_build_object('booking', n),
       timestamptz '2026-11-20' + n * interval '1 minute', timestamptz '2026-11-20' + n * interval '1 minute 2 seconds', NULL
FROM generate_series(1, 200) AS n;

CREATE INDEX ON bookings (calendar_id, starts_at);
CREATE INDEX ON booking_payments (booking_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app;
ANALYZE;
