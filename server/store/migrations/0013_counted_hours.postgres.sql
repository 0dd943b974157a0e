-- The wall of 0003. What was counted is of no organization.
ALTER TABLE provisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE provisions FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON provisions USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE commitments ENABLE ROW LEVEL SECURITY;
ALTER TABLE commitments FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON commitments USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');
