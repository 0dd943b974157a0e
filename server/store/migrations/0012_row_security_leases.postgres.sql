-- The wall of 0003 around what is lent of limits.
ALTER TABLE leases ENABLE ROW LEVEL SECURITY;
ALTER TABLE leases FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON leases USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE shared_rates ENABLE ROW LEVEL SECURITY;
ALTER TABLE shared_rates FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON shared_rates USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');
