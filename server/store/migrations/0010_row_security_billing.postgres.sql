-- The wall of 0003 around what 0009 made.
ALTER TABLE billing ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON billing USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE billing_customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing_customers FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON billing_customers USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE billing_spans ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing_spans FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON billing_spans USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE billing_notices ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing_notices FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON billing_notices USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');
