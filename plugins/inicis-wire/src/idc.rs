//! Invariant: a call goes only to an address that is written here. The addresses in a return post come through the buyer's
//! browser; they are compared with the table, letter for letter, and then ours are used (`inicis.md §0.3`).

/// A data centre of INICIS, as `idc_name` says it (`inicis.md §1.6`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idc {
    /// `fc`.
    Fc,
    /// `ks`.
    Ks,
    /// `stg`, staging.
    Stg,
}

/// What the table knows of a data centre.
struct Row {
    idc: Idc,
    name: &'static str,
    pc_approval: &'static str,
    pc_net_cancel: &'static str,
    mobile_approval: &'static str,
    mobile_net_cancel: &'static str,
}

const TABLE: [Row; 3] = [
    Row {
        idc: Idc::Fc,
        name: "fc",
        pc_approval: "https://fcstdpay.inicis.com/api/payAuth",
        pc_net_cancel: "https://fcstdpay.inicis.com/api/netCancel",
        mobile_approval: "https://fcmobile.inicis.com/smart/payReq.ini",
        mobile_net_cancel: "https://fcmobile.inicis.com/smart/payNetCancel.ini",
    },
    Row {
        idc: Idc::Ks,
        name: "ks",
        pc_approval: "https://ksstdpay.inicis.com/api/payAuth",
        pc_net_cancel: "https://ksstdpay.inicis.com/api/netCancel",
        mobile_approval: "https://ksmobile.inicis.com/smart/payReq.ini",
        mobile_net_cancel: "https://ksmobile.inicis.com/smart/payNetCancel.ini",
    },
    Row {
        idc: Idc::Stg,
        name: "stg",
        pc_approval: "https://stgstdpay.inicis.com/api/payAuth",
        pc_net_cancel: "https://stgstdpay.inicis.com/api/netCancel",
        mobile_approval: "https://stgmobile.inicis.com/smart/payReq.ini",
        mobile_net_cancel: "https://stgmobile.inicis.com/smart/payNetCancel.ini",
    },
];

/// An address that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdcError {
    /// `idc_name` is none of ours.
    #[error("idc_name is not one of fc, ks, stg")]
    Name,
    /// The approval address is not that of the data centre.
    #[error("authUrl is not the approval address of {0}")]
    Approval(&'static str),
    /// The approval address of a phone is not that of the data centre, or of none.
    #[error("P_REQ_URL is not an approval address of INICIS, or not that of idc_name")]
    Request,
    /// The net-cancel address is not that of the data centre.
    #[error("netCancelUrl is not the net-cancel address of {0}")]
    NetCancel(&'static str),
}

impl Idc {
    /// Reads `idc_name` and checks both addresses of a PC return post against it: `https`, port 443, host exactly
    /// `{idc_name}stdpay.inicis.com`, path exactly `/api/payAuth` and `/api/netCancel` (`inicis.md §0.3`).
    pub fn of_pc_return(idc_name: &str, auth_url: &str, net_cancel_url: &str) -> Result<Self, IdcError> {
        let row = TABLE.iter().find(|row| row.name == idc_name).ok_or(IdcError::Name)?;
        if !same_address(auth_url, row.pc_approval) {
            return Err(IdcError::Approval(row.name));
        }
        if !same_address(net_cancel_url, row.pc_net_cancel) {
            return Err(IdcError::NetCancel(row.name));
        }
        Ok(row.idc)
    }

    /// Finds the data centre of `P_REQ_URL`: `https`, port 443, host exactly `{idc}mobile.inicis.com`, path exactly
    /// `/smart/payReq.ini`; `idc_name`, where it came, must be the same (`inicis.md §0.3, §2.4`).
    pub fn of_mobile_return(idc_name: Option<&str>, request_url: &str) -> Result<Self, IdcError> {
        let row = TABLE.iter().find(|row| same_address(request_url, row.mobile_approval));
        let row = row.ok_or(IdcError::Request)?;
        if idc_name.is_some_and(|name| name != row.name) {
            return Err(IdcError::Request);
        }
        Ok(row.idc)
    }

    const fn row(self) -> &'static Row {
        let [fc, ks, stg] = &TABLE;
        match self {
            Self::Fc => fc,
            Self::Ks => ks,
            Self::Stg => stg,
        }
    }

    /// `idc_name`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// Where PC approval is asked for (`inicis.md §1.7`).
    pub const fn pc_approval(self) -> &'static str {
        self.row().pc_approval
    }

    /// Where approval of a mobile payment is asked for (`inicis.md §2.5`).
    pub const fn mobile_approval(self) -> &'static str {
        self.row().mobile_approval
    }

    /// Where a mobile approval is taken back (`inicis.md §2.6`).
    pub const fn mobile_net_cancel(self) -> &'static str {
        self.row().mobile_net_cancel
    }

    /// Where a PC approval is taken back (`inicis.md §1.10`).
    pub const fn pc_net_cancel(self) -> &'static str {
        self.row().pc_net_cancel
    }
}

/// Equal letter for letter, except that the port 443 may be written out.
fn same_address(received: &str, ours: &str) -> bool {
    received == ours || received.replacen(".inicis.com:443/", ".inicis.com/", 1) == ours
}
