-- The wall of 0003 around alerts and what they send.
ALTER TABLE webhooks ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhooks FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON webhooks USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE alerts ENABLE ROW LEVEL SECURITY;
ALTER TABLE alerts FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON alerts USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE alert_marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE alert_marks FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON alert_marks USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON outbox USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');
