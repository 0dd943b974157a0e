-- The wall of 0003 around what belongs to an organization. Users and what is theirs are of no
-- organization; a price list of none is everybody's.
ALTER TABLE organizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE organizations FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON organizations USING (
    id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE projects ENABLE ROW LEVEL SECURITY;
ALTER TABLE projects FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON projects USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE roles ENABLE ROW LEVEL SECURITY;
ALTER TABLE roles FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON roles USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON memberships USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE project_memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE project_memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON project_memberships USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE service_accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE service_accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON service_accounts USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON invitations USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE keys FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON keys USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE key_secrets ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_secrets FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON key_secrets USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_log FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON audit_log USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE audit_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_heads FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON audit_heads USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE ledger ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON ledger USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE usage_hours ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_hours FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON usage_hours USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE usage_sums ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_sums FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON usage_sums USING (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');

ALTER TABLE prices ENABLE ROW LEVEL SECURITY;
ALTER TABLE prices FORCE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON prices USING (
    organization_id = '' OR organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on')
    WITH CHECK (
    organization_id = current_setting('app.tenant', true)
    OR current_setting('app.every_tenant', true) = 'on');
