-- The booking SaaS as the source page knows it: its sixteen critical tables, with made-up and healthy data.
-- Ids are md5 of a word, so that tests can name them: id('user-1').

CREATE FUNCTION id(word text) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$ SELECT md5(word)::uuid $$;

CREATE TABLE users (id uuid PRIMARY KEY, email text NOT NULL UNIQUE, full_name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE user_roles (user_id uuid NOT NULL REFERENCES users, role text NOT NULL CHECK (role IN ('admin', 'owner', 'staff')), granted_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (user_id, role));
CREATE TABLE user_sessions (id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES users, is_active boolean NOT NULL DEFAULT true, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE user_security_settings (user_id uuid PRIMARY KEY REFERENCES users, force_password_change boolean NOT NULL DEFAULT false, password_changed_at timestamptz, two_factor_required boolean NOT NULL DEFAULT false);
CREATE TABLE calendars (id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES users, name text NOT NULL, slug text NOT NULL UNIQUE, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE calendar_settings (calendar_id uuid PRIMARY KEY REFERENCES calendars, timezone text NOT NULL DEFAULT 'Europe/Amsterdam', opens time NOT NULL DEFAULT '09:00', closes time NOT NULL DEFAULT '18:00', business_days int[] NOT NULL DEFAULT '{1,2,3,4,5}', whatsapp_bot_active boolean NOT NULL DEFAULT false, whatsapp_qr_url text, whatsapp_qr_generated_at timestamptz);
CREATE TABLE bookings (id uuid PRIMARY KEY, calendar_id uuid REFERENCES calendars, customer_name text NOT NULL, starts_at timestamptz NOT NULL, status text NOT NULL DEFAULT 'confirmed', created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE booking_payments (id uuid PRIMARY KEY, booking_id uuid REFERENCES bookings ON DELETE CASCADE, stripe_payment_intent_id text UNIQUE, stripe_account_id text, amount_cents bigint NOT NULL, currency text NOT NULL DEFAULT 'eur', status text NOT NULL DEFAULT 'pending', paid_at timestamptz, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE payment_settings (calendar_id uuid PRIMARY KEY REFERENCES calendars, payment_required_for_booking boolean NOT NULL DEFAULT true);
CREATE TABLE business_stripe_accounts (calendar_id uuid PRIMARY KEY REFERENCES calendars, stripe_account_id text NOT NULL UNIQUE, account_status text NOT NULL DEFAULT 'active', charges_enabled boolean, payouts_enabled boolean, onboarding_completed boolean NOT NULL DEFAULT true);
CREATE TABLE webhook_events (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), source text NOT NULL DEFAULT 'stripe', event_type text NOT NULL, stripe_event_id text UNIQUE, calendar_id uuid, event_data jsonb NOT NULL DEFAULT '{}', status text NOT NULL DEFAULT 'processed', error_message text, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE whatsapp_conversations (id uuid PRIMARY KEY, calendar_id uuid NOT NULL REFERENCES calendars, status text NOT NULL DEFAULT 'active');
CREATE TABLE whatsapp_messages (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), conversation_id uuid REFERENCES whatsapp_conversations, direction text NOT NULL DEFAULT 'in', body text NOT NULL DEFAULT '', created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE login_history (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id uuid NOT NULL REFERENCES users, ip_address inet, location_country text, user_agent text, device_fingerprint text, success boolean NOT NULL DEFAULT true, risk_score int NOT NULL DEFAULT 5, flagged_as_suspicious boolean NOT NULL DEFAULT false, login_time timestamptz NOT NULL DEFAULT now());
CREATE TABLE security_events_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id uuid, event_type text NOT NULL, event_category text NOT NULL DEFAULT 'access', severity text NOT NULL DEFAULT 'info', event_data jsonb NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE audit_trail (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, table_name text NOT NULL, operation text NOT NULL, old_data jsonb, new_data jsonb, performed_by uuid, performed_at timestamptz NOT NULL DEFAULT now());

CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, name text, applied_at timestamptz NOT NULL DEFAULT now());
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text, banned_until timestamptz);
CREATE TABLE auth.identities (id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE, provider text NOT NULL);
CREATE TABLE auth.mfa_factors (id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE, factor_type text NOT NULL, secret text);
CREATE TABLE auth.sessions (id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES auth.users ON DELETE CASCADE, created_at timestamptz NOT NULL DEFAULT now());

INSERT INTO users SELECT id('user-' || n), format('user%s@booking.example', n), format('User %s', n), now() - interval '90 days' FROM generate_series(1, 60) AS n;
INSERT INTO auth.users SELECT id, email FROM users;
INSERT INTO auth.identities SELECT id('identity-' || n), id('user-' || n), 'email' FROM generate_series(1, 60) AS n;
INSERT INTO auth.mfa_factors SELECT id('factor-' || n), id('user-' || n), 'totp', md5('factor-' || n) FROM generate_series(1, 3) AS n;
INSERT INTO auth.sessions SELECT id('session-' || n), id('user-' || n) FROM generate_series(1, 40) AS n;
INSERT INTO user_roles SELECT id('user-' || n), CASE WHEN n <= 3 THEN 'admin' WHEN n <= 20 THEN 'owner' ELSE 'staff' END, now() - interval '80 days' FROM generate_series(1, 60) AS n;
INSERT INTO user_sessions SELECT id('session-' || n), id('user-' || n) FROM generate_series(1, 40) AS n;
INSERT INTO user_security_settings SELECT id FROM users;
INSERT INTO calendars SELECT id('calendar-' || n), id('user-' || (3 + n)), format('Calendar %s', n), format('calendar-%s', n), now() - interval '70 days' FROM generate_series(1, 12) AS n;
INSERT INTO calendar_settings (calendar_id, whatsapp_bot_active) SELECT id('calendar-' || n), n <= 6 FROM generate_series(1, 12) AS n;
INSERT INTO payment_settings SELECT id('calendar-' || n), n <= 8 FROM generate_series(1, 12) AS n;
INSERT INTO business_stripe_accounts SELECT id('calendar-' || n), format('acct_practice%s', n), 'active', true, true FROM generate_series(1, 8) AS n;
INSERT INTO bookings SELECT id('booking-' || n), id('calendar-' || (1 + n % 12)), format('Customer %s', n), now() + n * interval '1 hour', 'confirmed', now() - n * interval '2 hours' FROM generate_series(1, 300) AS n;
INSERT INTO booking_payments SELECT id('payment-' || n), id('booking-' || n), format('pi_practice%s', n), format('acct_practice%s', 1 + n % 8), 2500 + 100 * (n % 40), 'eur', 'succeeded', now() - n * interval '2 hours', now() - n * interval '2 hours' FROM generate_series(1, 200) AS n;
INSERT INTO webhook_events (event_type, stripe_event_id, created_at) SELECT 'payment_intent.succeeded', format('evt_practice%s', n), now() - n * interval '2 hours' FROM generate_series(1, 200) AS n;
INSERT INTO whatsapp_conversations SELECT id('conversation-' || n), id('calendar-' || (1 + n % 6)) FROM generate_series(1, 30) AS n;
INSERT INTO whatsapp_messages (conversation_id, body, created_at) SELECT id('conversation-' || (1 + n % 30)), 'hello', now() - n * interval '1 minute' FROM generate_series(1, 200) AS n;
INSERT INTO login_history (user_id, ip_address, location_country, user_agent, login_time) SELECT id('user-' || (1 + n % 60)), ('192.0.2.' || (1 + n % 200))::inet, 'NL', 'browser', now() - n * interval '1 hour' FROM generate_series(1, 300) AS n;
INSERT INTO supabase_migrations.schema_migrations VALUES ('20251014213639', 'add indexes', now() - interval '30 days');
CREATE INDEX ON bookings (calendar_id, starts_at);
ANALYZE;
